import type { IncomingHttpHeaders } from 'node:http';

/** Which requests a fault befalls. Without a condition: all of them. */
export interface FaultCondition {
  method?: string | string[];
  /** Tried on path and query. */
  path?: RegExp;
  /** Those that have this header, in lower case. */
  header?: string;
  /** Which of the matching requests, counted from 1: that one, or a range with both ends in it. */
  hit?: number | { from: number; to?: number };
  /** Of the matching requests, this share (0 to 1), as the double's seed decides. */
  probability?: number;
}

/**
 * What goes wrong. All but `answer`, `cut-request`, `stall-request` and `redirect` let the request through and spoil
 * the answer; offsets and counts are bytes of its body.
 */
export type FaultEffect =
  /** Answers by itself; the request goes nowhere. */
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string | Buffer }
  /** Breaks the connection after that much of the answer: with a reset, or cleanly with `fin`. Content-Length stays. */
  | { kind: 'cut'; afterBytes: number; fin?: boolean }
  /** Passes on that much of the request's body, then resets the connection; the upstream's breaks too. */
  | { kind: 'cut-request'; afterBytes: number }
  /** Passes on that much of the request's body, then reads nothing more; the upstream waits as the client does. */
  | { kind: 'stall-request'; afterBytes: number }
  /** Another byte at an offset; the length stays. */
  | { kind: 'flip'; offset: number }
  /** The body is that much longer, or shorter, and Content-Length agrees with it. */
  | { kind: 'resize'; bytes: number }
  /** Goes on when the promise resolves. */
  | { kind: 'hold'; until: Promise<void> }
  /** That many bytes at a time, where `afterBytes` is given from there on. */
  | { kind: 'drip'; bytes: number; everyMs: number; afterBytes?: number }
  /** Nothing more after that much of the answer, connection open. */
  | { kind: 'stall'; afterBytes: number }
  /**
   * Sends the client to another place, as a registry that keeps blobs in a bucket; `to` may be made of path and query.
   */
  | { kind: 'redirect'; to: string | ((url: string) => string); status?: 301 | 302 | 303 | 307 | 308 }
  /** Sets headers of the answer, or removes them (undefined); names in lower case. */
  | { kind: 'headers'; headers: Record<string, string | undefined> }
  /** Takes parameters out of the query on the way up. */
  | { kind: 'drop-query'; names: string[] };

export interface Fault {
  when?: FaultCondition;
  effect: FaultEffect;
}

/** A request at the wire, as the double saw it. */
export interface WireRequest {
  method: string;
  /** Path and query as sent. */
  url: string;
  headers: IncomingHttpHeaders;
  /** Status of the answer; 0 while there is none, and where the connection broke before. */
  status: number;
  /** Bytes of bodies that passed. */
  requestBytes: number;
  responseBytes: number;
  /** Whether it was answered to the end, or its connection is gone. */
  isOver: boolean;
  /** What was done to it. */
  effects: Array<FaultEffect['kind']>;
}

type Answer = FaultEffect & { kind: 'answer' };

function errorAnswer(status: number, code: string, headers: Record<string, string> = {}): Answer {
  const body = JSON.stringify({ errors: [{ code, message: `made up: ${code}` }] });
  return { kind: 'answer', status, headers: { 'Content-Type': 'application/json', ...headers }, body };
}

/** `503`, say, with the code UNAVAILABLE. */
export function serverError(status = 503): Answer {
  return errorAnswer(status, 'UNAVAILABLE');
}

/** 429, to be left alone for some seconds, until a date, or for an unsaid time. */
export function throttled(retryAfter?: number | Date): Answer {
  const value = retryAfter instanceof Date ? retryAfter.toUTCString() : retryAfter?.toString();
  return errorAnswer(429, 'TOOMANYREQUESTS', value === undefined ? {} : { 'Retry-After': value });
}

/** 401 for ever, whatever is sent. */
export function unauthorized(challenge = 'Basic realm="test"'): Answer {
  return errorAnswer(401, 'UNAUTHORIZED', { 'WWW-Authenticate': challenge });
}

/** The login is good, the right is missing. */
export function denied(): Answer {
  return errorAnswer(403, 'DENIED');
}

/** 401 that points to a token endpoint elsewhere. */
export function foreignRealm(realm: string): Answer {
  return unauthorized(`Bearer realm="${realm}",service="elsewhere",scope="repository:any:pull"`);
}

/** A registry that cannot resume or chunk: it wants POST and PUT. */
export const patchRefused: Fault = { when: { method: 'PATCH' }, effect: errorAnswer(405, 'UNSUPPORTED') };

/** Asks to mount begin an upload instead (202). */
export const mountRefused: Fault = {
  when: { method: 'POST', path: /\/blobs\/uploads\/\?/ },
  effect: { kind: 'drop-query', names: ['mount', 'from'] },
};

/** A tag list whose every page has the same Link to a next one. */
export function endlessTags(repository: string): Fault {
  const next = `</v2/${repository}/tags/list?last=b>; rel="next"`;
  return {
    when: { method: 'GET', path: /\/tags\/list/ },
    effect: {
      kind: 'answer',
      status: 200,
      headers: { 'Content-Type': 'application/json', Link: next },
      body: JSON.stringify({ name: repository, tags: ['a', 'b'] }),
    },
  };
}

const manifestRead: FaultCondition = { method: ['GET', 'HEAD'], path: /\/manifests\// };

export const digestHeaderMissing: Fault = {
  when: manifestRead,
  effect: { kind: 'headers', headers: { 'docker-content-digest': undefined } },
};

export function wrongContentType(type: string): Fault {
  return { when: manifestRead, effect: { kind: 'headers', headers: { 'content-type': type } } };
}

/** A manifest of more bytes than any registry should take: valid JSON, with spaces behind it. */
export function hugeManifest(mediaType: string, bytes = 4 * 1024 * 1024 + 1): Fault {
  const body = Buffer.alloc(bytes, ' ');
  body.write(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [] }));
  return {
    when: manifestRead,
    effect: { kind: 'answer', status: 200, headers: { 'Content-Type': mediaType }, body },
  };
}
