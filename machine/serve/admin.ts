import type { IncomingMessage, ServerResponse } from 'node:http';
import { toFailure } from '../../core/model/errors.ts';
import { send } from './http.ts';

/** What the operator asks of the process. */
export interface AdminOptions {
  /** Why push events are refused, or will be; undefined where all is well. */
  refusal(): string | undefined;
  metrics(): Promise<{ contentType: string; text: string }>;
  /** Reads rules, senders and logins again; undefined where nobody may ask for it by HTTP. */
  reload?(): Promise<void>;
}

/** Answers `GET /healthz`, `/readyz` and `/metrics`, and `POST /-/reload`. */
export async function answerAdmin(
  options: AdminOptions,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  if (path === '/-/reload' && options.reload !== undefined) {
    if (request.method !== 'POST') return send(response, 405, 'post it\n', { allow: 'POST' });
    return reload(options.reload, response);
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send(response, 405, 'read only\n', { allow: 'GET' });
  }
  switch (path) {
    case '/healthz':
      return send(response, 200, 'ok\n');
    case '/readyz': {
      const refusal = options.refusal();
      return refusal === undefined ? send(response, 200, 'ready\n') : send(response, 503, `${refusal}\n`);
    }
    case '/metrics': {
      const { contentType, text } = await options.metrics();
      return send(response, 200, text, { 'content-type': contentType });
    }
    default:
      return send(response, 404, 'not found\n');
  }
}

async function reload(read: () => Promise<void>, response: ServerResponse): Promise<void> {
  try {
    await read();
    send(response, 200, 'reloaded\n');
  } catch (error) {
    send(response, 422, `${toFailure(error).message}\nthe old settings stay\n`);
  }
}
