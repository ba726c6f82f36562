import { Agent } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RawServer, rawServer } from '../support/raw-server.ts';
import { wireClient } from '../support/wire-client.ts';

/** What a server may answer, and what both the wire and undici make of it. */
interface Case {
  what: string;
  method?: string;
  /** The bytes, one latin1 character each. */
  answer: string;
  /** The server closes the connection after them. */
  closes?: boolean;
  /** Status and body; `refused` where there is no response. */
  result: string;
  /** The same connection takes a second request. */
  isReused?: boolean;
  /** Where undici does otherwise. */
  undici?: { result?: string; isReused?: boolean };
}

const ok = 'HTTP/1.1 200 OK\r\n';
const hi = 'content-length: 2\r\n\r\nhi';

const cases: Case[] = [
  { what: 'a body with a length', answer: `${ok}${hi}`, result: '200 hi', isReused: true },
  {
    what: 'a body in chunks',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n`,
    result: '200 hi',
    isReused: true,
  },
  {
    what: 'chunks with extensions and a trailer',
    answer: `${ok}Transfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n`,
    result: '200 hi',
    isReused: true,
  },
  { what: 'a body until the end', answer: `${ok}\r\nhi`, closes: true, result: '200 hi' },
  { what: 'an empty body', answer: `${ok}content-length: 0\r\n\r\n`, result: '200 ', isReused: true },
  {
    what: 'a HEAD with a length',
    method: 'HEAD',
    answer: `${ok}content-length: 7\r\n\r\n`,
    result: '200 ',
    isReused: true,
  },
  {
    what: 'a HEAD of chunks',
    method: 'HEAD',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n`,
    result: '200 ',
    isReused: true,
  },
  { what: '204', answer: 'HTTP/1.1 204 No Content\r\n\r\n', result: '204 ', isReused: true },
  {
    what: '304 with a length',
    answer: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n',
    result: '304 ',
    isReused: true,
    undici: { isReused: false },
  },
  { what: 'no reason', answer: `HTTP/1.1 200\r\n${hi}`, result: '200 hi', isReused: true },
  { what: 'Connection: close', answer: `${ok}connection: Close\r\n${hi}`, result: '200 hi', isReused: false },
  { what: 'HTTP/1.0', answer: `HTTP/1.0 200 OK\r\n${hi}`, result: '200 hi', isReused: false },
  {
    what: 'HTTP/1.0 that is kept',
    answer: `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n${hi}`,
    result: '200 hi',
    isReused: true,
  },
  {
    what: 'a connection kept for no time',
    answer: `${ok}keep-alive: timeout=1\r\n${hi}`,
    result: '200 hi',
    isReused: false,
  },
  {
    what: 'blanks around a value',
    answer: `${ok}content-length: \t 2 \t\r\n\r\nhi`,
    result: '200 hi',
    isReused: true,
    undici: { result: 'refused', isReused: false },
  },
  { what: 'bytes after the end', answer: `${ok}${hi}HTTP/1.1 200 OK\r\n`, result: '200 hi', isReused: false },
  // undici ends the connection at a response to a question that nobody asked.
  {
    what: '100 that nobody asked for',
    answer: `HTTP/1.1 100 Continue\r\n\r\n${ok}${hi}`,
    result: '200 hi',
    isReused: true,
    undici: { result: 'refused', isReused: false },
  },
  { what: '103', answer: `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${ok}${hi}`, result: '200 hi', isReused: true },
  {
    what: '101',
    answer: 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    result: 'refused',
  },
  { what: 'no end of 1xx', answer: 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100), closes: true, result: 'refused' },
  { what: 'two lengths', answer: `${ok}content-length: 3\r\n${hi}`, result: 'refused' },
  {
    what: 'the same length twice',
    answer: `${ok}content-length: 2\r\n${hi}`,
    result: '200 hi',
    isReused: true,
    undici: { result: 'refused', isReused: false },
  },
  { what: 'two lengths in one', answer: `${ok}content-length: 2, 2\r\n\r\nhi`, result: 'refused' },
  { what: 'a length with a sign', answer: `${ok}content-length: +2\r\n\r\nhi`, result: 'refused' },
  { what: 'a length in hexadecimal', answer: `${ok}content-length: 0x2\r\n\r\nhi`, result: 'refused' },
  { what: 'no number as a length', answer: `${ok}content-length:\r\n\r\nhi`, closes: true, result: 'refused' },
  { what: 'a length and chunks', answer: `${ok}transfer-encoding: chunked\r\n${hi}`, closes: true, result: 'refused' },
  {
    what: 'another coding',
    answer: `${ok}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    closes: true,
    result: 'refused',
    undici: { result: '200 ' },
  },
  {
    what: 'chunked twice',
    answer: `${ok}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    closes: true,
    result: 'refused',
    undici: { result: '200 ' },
  },
  {
    what: 'an unknown coding',
    answer: `${ok}transfer-encoding: identity\r\n\r\nhi`,
    closes: true,
    result: 'refused',
    undici: { result: '200 hi' },
  },
  {
    what: 'chunks of HTTP/1.0',
    answer: 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    closes: true,
    result: 'refused',
    undici: { result: '200 hi' },
  },
  { what: 'line feeds only', answer: 'HTTP/1.1 200 OK\ncontent-length: 2\n\nhi', closes: true, result: 'refused' },
  { what: 'a line feed in a value', answer: `${ok}x: a\nb: c\r\n${hi}`, result: 'refused' },
  { what: 'a carriage return in a value', answer: `${ok}x: a\rb: c\r\n${hi}`, result: 'refused' },
  { what: 'NUL in a value', answer: `${ok}x: a\0b\r\n${hi}`, result: 'refused' },
  { what: 'a control byte in a value', answer: `${ok}x: a\x01b\r\n${hi}`, result: 'refused' },
  { what: 'a folded line', answer: `${ok}x: a\r\n b\r\n${hi}`, result: 'refused' },
  { what: 'a blank before the colon', answer: `${ok}content-length : 2\r\n\r\nhi`, closes: true, result: 'refused' },
  { what: 'a header without a name', answer: `${ok}: a\r\n${hi}`, result: 'refused' },
  { what: 'a header without a colon', answer: `${ok}what\r\n${hi}`, result: 'refused' },
  { what: 'an empty line first', answer: `\r\n${ok}${hi}`, result: 'refused', undici: { result: '200 hi' } },
  { what: 'HTTP/2', answer: `HTTP/2.0 200 OK\r\n${hi}`, result: 'refused', undici: { result: '200 hi' } },
  { what: 'another protocol', answer: 'SSH-2.0-OpenSSH_9.6\r\n', closes: true, result: 'refused' },
  { what: 'a status of two digits', answer: `HTTP/1.1 20 OK\r\n${hi}`, result: 'refused' },
  { what: 'a status of four digits', answer: `HTTP/1.1 2000 OK\r\n${hi}`, result: 'refused' },
  { what: 'a head without end', answer: `${ok}x: ${'a'.repeat(300_000)}`, result: 'refused' },
  {
    what: 'a chunk longer than its size',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n1\r\nhi\r\n0\r\n\r\n`,
    result: 'refused',
  },
  {
    what: 'a chunk size padded with blanks',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n2  \r\nhi\r\n0\t\r\n\r\n`,
    result: '200 hi',
    isReused: true,
    undici: { result: 'refused', isReused: false },
  },
  {
    what: 'a chunk with a bad size',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n`,
    result: 'refused',
  },
  {
    what: 'a chunk of a negative size',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n`,
    result: 'refused',
  },
  {
    what: 'a chunk size too large to count',
    answer: `${ok}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhi`,
    result: 'refused',
  },
  {
    what: 'chunks divided by line feeds',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n2\nhi\n0\n\n`,
    closes: true,
    result: 'refused',
  },
  {
    what: 'an extension without end',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n2;${'a'.repeat(20_000)}`,
    closes: true,
    result: 'refused',
  },
  { what: 'less than its length', answer: `${ok}content-length: 9\r\n\r\nhi`, closes: true, result: 'refused' },
  {
    what: 'chunks without the last one',
    answer: `${ok}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n`,
    closes: true,
    result: 'refused',
  },
  { what: 'half a head', answer: 'HTTP/1.1 200 OK\r\ncontent-', closes: true, result: 'refused' },
  { what: 'nothing', answer: '', closes: true, result: 'refused' },
];

let server: RawServer;

beforeAll(async () => {
  // The path of a request says which case answers it. The second request of a connection gets 299.
  server = await rawServer(({ head, socket, turn }) => {
    const one = cases[Number(/ \/(\d+)/.exec(head)?.[1])];
    const text = turn === 1 ? one?.answer : 'HTTP/1.1 299 Again\r\ncontent-length: 0\r\n\r\n';
    const bytes = Buffer.from(text ?? '', 'latin1');
    if (one?.closes) socket.end(bytes);
    else socket.write(bytes);
  });
});

afterAll(() => server[Symbol.asyncDispose]());

interface Asker extends AsyncDisposable {
  /** Status and body. */
  ask(path: string, method: string): Promise<string>;
}

const clients: Record<string, () => Asker> = {
  'the wire'() {
    const wire = wireClient({ most: 1 });
    return {
      async ask(path, method) {
        const { status, body } = await wire.ask(new URL(path, server.url), method);
        return `${status} ${body}`;
      },
      [Symbol.asyncDispose]: async () => wire[Symbol.dispose](),
    };
  },
  // Another reader of the same bytes: where the two differ, the wire is stricter, but for 1xx responses.
  undici() {
    const agent = new Agent({ connections: 1, allowH2: false, maxHeaderSize: 256 * 1024 });
    return {
      async ask(path, method) {
        const options = { origin: server.url.origin, path, method: method as 'GET', reset: false };
        const { statusCode, body } = await agent.request(options);
        return `${statusCode} ${Buffer.from(await body.arrayBuffer()).toString('latin1')}`;
      },
      [Symbol.asyncDispose]: () => agent.destroy(),
    };
  },
};

describe.each(Object.entries(clients))('%s', (name, connect) => {
  it.each(cases.map((one, index) => ({ ...one, path: `/${index}` })))('reads $what', async (one) => {
    await using client = connect();
    const ask = () => client.ask(one.path, one.method ?? 'GET').catch(() => 'refused');
    const wanted = { ...one, ...(name === 'undici' && one.undici) };
    expect(await ask()).toBe(wanted.result);
    if (wanted.isReused !== undefined) expect((await ask()) === '299 ').toBe(wanted.isReused);
  });
});
