import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  type ServerResponse,
  request as sendRequest,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, FaultCondition, FaultEffect, WireRequest } from './faults.ts';

export interface FaultyRegistryOptions {
  /** `http://127.0.0.1:port` of the registry it stands before; plain http. */
  upstream: string;
  faults?: Fault[];
  /** Decides what `probability` hits; the same seed, the same hits. Default 1. */
  seed?: number;
}

export interface FaultyRegistry {
  url: string;
  host: string;
  /** Every request, in order. May be emptied (`length = 0`). */
  requests: WireRequest[];
  /** Requests of a method whose path and query match. */
  find(method: string, path: RegExp): WireRequest[];
  /** Other faults from now on, their hits counted anew. */
  setFaults(faults: Fault[]): void;
  close(): Promise<void>;
}

/**
 * A proxy before any registry that misbehaves as told, and records what passes. The Host header is passed on as it is,
 * so that addresses that the registry makes of it lead through the proxy again.
 */
export async function startFaultyRegistry(options: FaultyRegistryOptions): Promise<FaultyRegistry> {
  const requests: WireRequest[] = [];
  let choose = chooser(options.faults ?? [], options.seed ?? 1);

  const server = createServer((request, response) => {
    const record: WireRequest = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      status: 0,
      requestBytes: 0,
      responseBytes: 0,
      isOver: false,
      effects: [],
    };
    requests.push(record);
    const effects = choose(record);
    record.effects = effects.map((effect) => effect.kind);
    handle({ upstream: options.upstream, request, response, record, effects }).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url: `http://${host}`,
    host,
    requests,
    find: (method, path) => requests.filter((one) => one.method === method && path.test(one.url)),
    setFaults: (faults) => {
      choose = chooser(faults, options.seed ?? 1);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Says for each request which effects befall it: those of all faults whose condition holds. */
function chooser(faults: Fault[], seed: number): (record: WireRequest) => FaultEffect[] {
  const states = faults.map((fault) => ({ fault, hits: 0 }));
  return (record) =>
    states
      .filter((state, index) => {
        const { when = {} } = state.fault;
        if (!concerns(when, record)) return false;
        state.hits += 1;
        return isHit(when, state.hits) && share(`${seed}/${index}/${state.hits}`) < (when.probability ?? 1);
      })
      .map((state) => state.fault.effect);
}

function concerns(when: FaultCondition, record: WireRequest): boolean {
  const methods = when.method === undefined ? [record.method] : [when.method].flat();
  const hasHeader = when.header === undefined || record.headers[when.header] !== undefined;
  return methods.includes(record.method) && hasHeader && (when.path?.test(record.url) ?? true);
}

function isHit({ hit }: FaultCondition, count: number): boolean {
  if (hit === undefined) return true;
  if (typeof hit === 'number') return count === hit;
  return count >= hit.from && count <= (hit.to ?? Number.POSITIVE_INFINITY);
}

/** A number from 0 to 1 that the text alone decides. */
function share(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32;
}

interface Passage {
  upstream: string;
  request: IncomingMessage;
  response: ServerResponse;
  record: WireRequest;
  effects: FaultEffect[];
}

async function handle(passage: Passage): Promise<void> {
  const { response, record, effects } = passage;
  response.on('finish', () => {
    record.status = response.statusCode;
  });
  response.on('close', () => {
    record.isOver = true;
  });
  await effect(effects, 'hold')?.until;
  const answer = effect(effects, 'answer');
  const redirect = effect(effects, 'redirect');
  if (answer !== undefined) {
    await drain(passage);
    const body = Buffer.from(answer.body ?? '');
    response.writeHead(answer.status, { 'Content-Length': body.length, ...answer.headers }).end(body);
  } else if (redirect !== undefined) {
    const to = typeof redirect.to === 'string' ? redirect.to : redirect.to(record.url);
    response.writeHead(redirect.status ?? 307, { Location: to, 'Content-Length': 0 }).end();
  } else {
    await pass(passage);
  }
}

async function drain({ request, record }: Passage): Promise<void> {
  for await (const chunk of request) record.requestBytes += chunk.length;
}

async function pass(passage: Passage): Promise<void> {
  const { request, response, record, effects } = passage;
  const url = new URL(request.url ?? '/', passage.upstream);
  for (const name of effect(effects, 'drop-query')?.names ?? []) url.searchParams.delete(name);
  const upward = sendRequest(url, { method: record.method, headers: request.headers, agent: false });
  // Whoever waits for the upstream hears of an error; none may be without a listener.
  upward.on('error', () => undefined);
  // The client going away must not leave the upstream waiting.
  response.once('close', () => upward.destroy());
  const answered = once(upward, 'response') as Promise<[IncomingMessage]>;
  const sent = passRequestBody(passage, upward);
  // A registry may answer before it has read everything.
  const [answer] = await Promise.race([answered, sent.then(() => answered)]);
  sent.catch(() => undefined);
  record.status = answer.statusCode ?? 0;
  response.writeHead(record.status, answerHeaders(passage, answer));
  response.flushHeaders();
  await passAnswerBody(passage, answer);
}

function effect<K extends FaultEffect['kind']>(effects: FaultEffect[], kind: K) {
  return effects.find((one): one is FaultEffect & { kind: K } => one.kind === kind);
}

async function passRequestBody({ request, response, record, effects }: Passage, upward: ClientRequest): Promise<void> {
  const cut = effect(effects, 'cut-request');
  const end = cut ?? effect(effects, 'stall-request');
  for await (const chunk of request) {
    const bytes = end === undefined ? chunk : chunk.subarray(0, end.afterBytes - record.requestBytes);
    await write(upward, bytes);
    record.requestBytes += bytes.length;
    if (record.requestBytes !== end?.afterBytes) continue;
    if (cut !== undefined) request.socket.resetAndDestroy();
    await once(response, 'close');
  }
  upward.end();
}

/** The registry's headers without those of the connection to it, and as the effects have them. */
function answerHeaders({ record, effects }: Passage, answer: IncomingMessage): Record<string, string | string[]> {
  const { connection: _connection, 'keep-alive': _keepAlive, ...kept } = answer.headers;
  const headers: Record<string, string | string[] | undefined> = { ...kept, ...effect(effects, 'headers')?.headers };
  const resize = effect(effects, 'resize');
  if (resize !== undefined && record.method !== 'HEAD') headers['content-length'] = String(resizedTo(resize, answer));
  const present = Object.entries(headers).filter(
    (entry): entry is [string, string | string[]] => entry[1] !== undefined,
  );
  return Object.fromEntries(present);
}

function resizedTo(resize: { bytes: number }, answer: IncomingMessage): number {
  return Number(answer.headers['content-length'] ?? 0) + resize.bytes;
}

async function passAnswerBody({ response, record, effects }: Passage, answer: IncomingMessage): Promise<void> {
  const cut = effect(effects, 'cut');
  const end = cut ?? effect(effects, 'stall');
  const drip = effect(effects, 'drip');
  for await (const bytes of spoiled(answer, effects, record.method)) {
    const left = end === undefined ? bytes : bytes.subarray(0, end.afterBytes - record.responseBytes);
    for (let at = 0; at < left.length; ) {
      const free = drip === undefined ? left.length : (drip.afterBytes ?? 0) - record.responseBytes;
      if (drip !== undefined && free <= 0) await sleep(drip.everyMs);
      const part = left.subarray(at, at + (free > 0 ? free : (drip?.bytes ?? free)));
      await write(response, part);
      record.responseBytes += part.length;
      at += part.length;
    }
    if (record.responseBytes !== end?.afterBytes) continue;
    if (cut?.fin) response.socket?.end();
    else if (cut !== undefined) response.socket?.resetAndDestroy();
    await once(response, 'close');
  }
  response.end();
}

/** The body with its wrong byte and its wrong length. */
async function* spoiled(answer: IncomingMessage, effects: FaultEffect[], method: string): AsyncGenerator<Buffer> {
  const flip = effect(effects, 'flip');
  const resize = method === 'HEAD' ? undefined : effect(effects, 'resize');
  const wanted = resize === undefined ? Number.POSITIVE_INFINITY : resizedTo(resize, answer);
  let position = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    const bytes = Buffer.from(chunk.subarray(0, wanted - position));
    if (flip !== undefined && flip.offset >= position && flip.offset < position + bytes.length) {
      const at = flip.offset - position;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
    }
    position += bytes.length;
    if (bytes.length > 0) yield bytes;
  }
  if (resize !== undefined && position < wanted) yield Buffer.alloc(wanted - position, 'x');
}

/** Until the bytes are with the operating system: a broken connection then breaks where it should. */
function write(stream: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
