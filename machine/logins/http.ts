import { type IncomingMessage, Agent as PlainAgent, request as requestPlain } from 'node:http';
import { request as requestTls, Agent as TlsAgent } from 'node:https';
import { rootCertificates } from 'node:tls';

/** One request to a token service or a metadata server. */
export interface HttpRequest {
  url: string;
  headers?: Record<string, string>;
  /** Sent by POST, as a form; without it, it is a GET. */
  form?: Record<string, string>;
  /** For a server of this machine's own network: no proxy leads there, and it answers at once or is not there. */
  isLocal?: boolean;
}

export interface HttpAnswer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export type Http = (request: HttpRequest) => Promise<HttpAnswer>;

const MAX_BODY_BYTES = 1024 * 1024;
const TIMEOUT_MS = 15_000;
const LOCAL_TIMEOUT_MS = 2_000;

/**
 * Requests by Node's own client, which follows no redirects, by way of the environment's proxy.
 * @param authorities PEM texts that are trusted besides Node's own
 */
export function createHttp(authorities: () => Promise<readonly string[]>): Http {
  let agents: Promise<{ plain: PlainAgent; tls: TlsAgent }> | undefined;
  const openAgents = async () => ({
    plain: new PlainAgent({ proxyEnv: process.env }),
    tls: new TlsAgent({ proxyEnv: process.env, ca: [...rootCertificates, ...(await authorities())] }),
  });
  return async ({ url, headers = {}, form, isLocal = false }) => {
    agents ??= openAgents();
    const { plain, tls } = await agents;
    const isTls = url.startsWith('https:');
    const body = form && new URLSearchParams(form).toString();
    const options = {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...headers,
      },
      agent: isLocal ? undefined : isTls ? tls : plain,
      signal: AbortSignal.timeout(isLocal ? LOCAL_TIMEOUT_MS : TIMEOUT_MS),
    };
    return new Promise<HttpAnswer>((resolve, reject) => {
      const outgoing = (isTls ? requestTls : requestPlain)(url, options, (response) => {
        readText(response).then(
          (text) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
          reject,
        );
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  };
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
