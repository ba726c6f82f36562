import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatFields, formatRequestHead } from '../../core/registry/wire/http1/request-head.ts';
import { createResponseReader } from '../../core/registry/wire/http1/response-reader.ts';

/** Reads bytes in parts that end at these places. What is behind the end of each part must not be looked at. */
function read(bytes: Buffer, cuts: number[] = [], method = 'GET') {
  const seen = { status: 0, headers: {}, body: '', isOver: false, rest: 0, error: undefined as string | undefined };
  const reader = createResponseReader({
    onHead({ status, headers }) {
      Object.assign(seen, { status, headers: { ...headers } });
    },
    onBytes(buffer, start, end) {
      seen.body += buffer.toString('latin1', start, end);
    },
    onEnd() {
      seen.isOver = true;
    },
  });
  reader.begin(method);
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b);
  let from = 0;
  try {
    for (const end of [...ends, bytes.length]) {
      if (seen.isOver) break;
      // Other bytes before and after, as in a buffer that was used before.
      const buffer = Buffer.concat([Buffer.from('\r\n\r\n'), bytes.subarray(from, end), Buffer.from('\r\n0\r\n\r\n')]);
      from += reader.read(buffer, 4, 4 + end - from) - 4;
    }
    if (!seen.isOver) reader.close();
  } catch (error) {
    seen.error = (error as { code?: string }).code ?? String(error);
  }
  seen.rest = bytes.length - from;
  return seen;
}

const text = fc.string({ unit: fc.constantFrom('a', 'B', ' ', '\t', ';', ',', '"', '\xff'), maxLength: 20 });
const token = fc.string({ unit: fc.constantFrom('x', 'Y', '-', '_', '1'), minLength: 1, maxLength: 10 });
const body = fc.string({ unit: fc.constantFrom('\r', '\n', '0', 'a', '\0', ':'), maxLength: 60 });

/** A response that is right, in any framing. */
const response = fc
  .record({
    interim: fc.constantFrom('', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n'),
    status: fc.constantFrom(200, 206, 401, 404, 500),
    fields: fc.array(fc.tuple(token, text), { maxLength: 5 }),
    content: fc.array(body, { maxLength: 4 }),
    framing: fc.constantFrom('length', 'chunked', 'close'),
  })
  .map(({ interim, status, fields, content, framing }) => {
    const all = content.join('');
    const chunks = content
      .filter((part) => part !== '')
      .map((part) => `${part.length.toString(16)};x=${part.length}\r\n${part}\r\n`);
    const [header, sent] = {
      length: [`Content-Length: ${all.length}\r\n`, all],
      chunked: ['Transfer-Encoding: chunked\r\n', `${chunks.join('')}0\r\nx-trailer: a\r\n\r\n`],
      close: ['', all],
    }[framing] as [string, string];
    const lines = fields.map(([name, value]) => `x-${name}: ${value}\r\n`).join('');
    const bytes = Buffer.from(`${interim}HTTP/1.1 ${status} Any\r\n${lines}${header}\r\n${sent}`, 'latin1');
    return { bytes, status, body: all };
  });

const cuts = fc.array(fc.nat(400), { maxLength: 40 });

describe('a response', () => {
  it('is read the same however its bytes are divided', () => {
    fc.assert(
      fc.property(response, cuts, ({ bytes, status, body: content }, at) => {
        const whole = read(bytes);
        expect(whole).toMatchObject({ status, body: content, isOver: true, rest: 0, error: undefined });
        expect(read(bytes, at)).toEqual(whole);
        expect(read(bytes, [...bytes.keys()])).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  it('that is damaged is read or refused, the same however its bytes are divided', () => {
    const damage = fc.array(fc.tuple(fc.nat(400), fc.constantFrom('\r', '\n', '\0', ':', ' ', '9', 'f', ';', '')), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(response, damage, cuts, fc.constantFrom('GET', 'HEAD'), ({ bytes }, changes, at, method) => {
        let damaged = bytes.toString('latin1');
        for (const [place, character] of changes) {
          const index = place % damaged.length;
          damaged = damaged.slice(0, index) + character + damaged.slice(index + 1);
        }
        const spoilt = Buffer.from(damaged, 'latin1');
        const whole = read(spoilt, [], method);
        expect([undefined, 'NOT_HTTP', 'HUNG_UP']).toContain(whole.error);
        const divided = read(spoilt, at, method);
        expect({ ...divided, rest: 0 }).toEqual({ ...whole, rest: 0 });
        // Where it ends, it ends at the same byte.
        if (whole.isOver) expect(divided.rest).toBe(whole.rest);
      }),
      { numRuns: 600 },
    );
  });

  it('of any bytes at all is refused, and never more than its bounds are kept', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), cuts, (bytes, at) => {
        const { error } = read(Buffer.from(bytes), at);
        expect(['NOT_HTTP', 'HUNG_UP']).toContain(error);
      }),
    );
    for (const endless of [
      'HTTP/1.1 200 OK\r\nx: ',
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;',
    ]) {
      const part = Buffer.from(endless.endsWith('OK\r\n') ? 'a: b\r\n'.repeat(1000) : 'a'.repeat(6000));
      const reader = createResponseReader({ onHead() {}, onBytes() {}, onEnd() {} });
      reader.begin('GET');
      reader.read(Buffer.from(endless), 0, endless.length);
      let fed = 0;
      const feed = () => {
        for (; fed < 100; fed += 1) reader.read(part, 0, part.length);
      };
      expect(feed).toThrow(expect.objectContaining({ code: 'NOT_HTTP' }));
      expect(fed * part.length).toBeLessThanOrEqual(256 * 1024);
    }
  });

  it('may have headers with the names of properties that all objects have', () => {
    const { headers } = read(
      Buffer.from('HTTP/1.1 204 No\r\n__proto__: a\r\nconstructor: b\r\nconstructor: c\r\n\r\n'),
    );
    expect(Object.entries(headers)).toEqual([
      ['__proto__', 'a'],
      ['constructor', ['b', 'c']],
    ]);
  });
});

describe('a request', () => {
  it('goes out as it should', () => {
    const head = formatRequestHead(
      'GET',
      '/v2/?n=1',
      formatFields({ host: 'a:1', authorization: undefined }),
      formatFields({ accept: 'b, */*' }),
    );
    expect(head).toBe('GET /v2/?n=1 HTTP/1.1\r\nhost: a:1\r\naccept: b, */*\r\n\r\n');
  });

  it.each([
    ['a path', '/a b', 'x'],
    ['a path', '/a\r\nx: y', 'x'],
    ['a path', '/\u0100', 'x'],
    ['a header', '/', 'a\r\nb: c'],
    ['a header', '/', 'a\nb'],
    ['a header', '/', 'a\0'],
    ['a header', '/', '\u010d\u010a'],
  ])('never has a line more by %s', (_what, path, value) => {
    expect(() => formatRequestHead('GET', path, formatFields({ x: value }))).toThrow('must not have');
  });
});

describe('a header that comes twice', () => {
  it('counts once where it has one value, as gateways repeat some, and is a list otherwise', () => {
    const twice = [
      'Location: /a',
      'Location: /b',
      'Content-Encoding: gzip',
      'Content-Encoding: gzip',
      'Warning: x',
      'Warning: y',
    ];
    const { headers, error } = read(
      Buffer.from(`HTTP/1.1 200 OK\r\n${twice.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`),
    );
    expect(error).toBeUndefined();
    expect(headers).toMatchObject({ location: '/a', 'content-encoding': 'gzip', warning: ['x', 'y'] });
  });
});
