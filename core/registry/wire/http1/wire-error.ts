/** What goes wrong between a request and its response, besides what the operating system and TLS say. */
export type WireErrorCode =
  /** No answer of DNS in time. */
  | 'LOOKUP_TIMEOUT'
  /** No connection in time. */
  | 'CONNECT_TIMEOUT'
  /** No head of a response in time. */
  | 'HEAD_TIMEOUT'
  /** No more bytes of a body that had begun. */
  | 'BODY_STALLED'
  /** The peer takes no bytes of the request's body. */
  | 'NOTHING_TAKEN'
  /** The request's body is shorter or longer than was announced. */
  | 'WRONG_LENGTH'
  /** The peer closed the connection too early. */
  | 'HUNG_UP'
  /** The response is not HTTP/1.1, or could be read in two ways. */
  | 'NOT_HTTP';

export interface WireError extends Error {
  code: WireErrorCode;
}

export function wireError(code: WireErrorCode, message: string): WireError {
  return Object.assign(new Error(message), { code });
}
