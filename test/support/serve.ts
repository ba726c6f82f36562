import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { urlToken } from './announce.ts';
import type { Ended, Workplace } from './command.ts';

/** `tranship serve` as a process of its own. */
export interface Serving {
  url: string;
  pid: number;
  /** What it wrote to stderr so far. */
  log(): string;
  /** Posts a body to `/hooks/<source>/<token>`. */
  post(
    source: string,
    body: unknown,
    options?: { token?: string; headers?: Record<string, string> },
  ): Promise<Response>;
  /** Values of one metric by its labels as they are written; of a counter those above 0. */
  metric(name: string): Promise<Record<string, number>>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<Ended>;
}

/** Starts it on a free port and waits until it listens. */
export async function startServe(
  place: Workplace,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<Serving> {
  const { child, ended } = place.start(['serve', '--listen', '127.0.0.1:0', '--debounce', '50ms', ...args], env);
  let log = '';
  child.stderr?.on('data', (text: string) => {
    log += text;
  });
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  const deadline = Date.now() + 60_000;
  while (!isOver && !log.includes('listening on') && Date.now() < deadline) await sleep(20);
  const url = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(log)?.[1];
  if (url === undefined) throw new Error(`serve did not start:\n${log}`);
  return {
    url,
    pid: child.pid ?? 0,
    log: () => log,
    post: (source, body, { token = urlToken, headers = {} } = {}) =>
      fetch(`${url}/hooks/${source}/${token}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        signal: AbortSignal.timeout(60_000),
      }),
    async metric(name) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const lines = text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (.+)$`, 'gm'));
      const values = [...lines].map(([, labels = '', value]) => [labels, Number(value)] as const);
      return Object.fromEntries(values.filter(([, value]) => value > 0 || !name.endsWith('_total')));
    },
    kill(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

/** An address that is known before what stands behind it: registries want it in their configuration. */
export async function startRelay(): Promise<{ url: string; to(url: string): void; close(): Promise<void> }> {
  let target = '';
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    const onward = sendRequest(`${target}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    to(url) {
      target = url;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
