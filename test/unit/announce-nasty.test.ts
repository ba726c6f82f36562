import { describe, expect, it } from 'vitest';
import { type DialectName, dialectNames } from '../../core/announce/dialect-name.ts';
import { isAllowed } from '../../core/announce/sender.ts';
import { isDigest, isRegistryName, isRepositoryName, isTag } from '../../core/model/reference.ts';
import { deps, readSample, receiveAll as receive, sampleNames, senderOf, withBody } from '../support/announce.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
const samplesOf = (dialect: DialectName) => sampleNames.filter((name) => name.startsWith(`${dialect}/`));

/** What stands in for each value of a sample, one at a time. */
const nasty: unknown[] = [
  digest,
  digest.toUpperCase(),
  'sha256:short',
  '',
  'Upper/Case',
  'UPPER',
  'two words',
  '../../etc/passwd',
  'http://169.254.169.254/latest',
  'evil.example/team/app:1',
  `registry.example.com/team/app:1@${digest}`,
  '\u0000\r\nx: y',
  '\u{202e}',
  'x'.repeat(10_000),
  '__proto__',
  null,
  0,
  -1,
  1e308,
  true,
  [],
  {},
  [[[]]],
  { toString: 'x', length: -1 },
];

type Path = Array<string | number>;

function* leaves(value: unknown, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value))
    yield* leaves(inner, [...path, Array.isArray(value) ? Number(key) : key]);
}

function withValue(value: unknown, [key, ...rest]: Path, change: unknown): unknown {
  if (key === undefined) return change;
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) };
  const fields = copy as Record<string | number, unknown>;
  fields[key] = withValue(fields[key], rest, change);
  return copy;
}

/** Pub/Sub and SNS carry the event as text inside the body. */
function variants(body: unknown): unknown[] {
  const plain = [...leaves(body)].flatMap((path) => nasty.map((value) => withValue(body, path, value)));
  const { message, Message } = body as { message?: { data?: string }; Message?: string };
  if (typeof message?.data === 'string') {
    const inner = JSON.parse(Buffer.from(message.data, 'base64').toString());
    const encode = (event: unknown) => Buffer.from(JSON.stringify(event)).toString('base64');
    return [
      ...plain,
      ...variants(inner).map((event) => ({ ...(body as object), message: { ...message, data: encode(event) } })),
    ];
  }
  if (typeof Message === 'string' && Message.startsWith('{')) {
    const inner = variants(JSON.parse(Message));
    return [...plain, ...inner.map((event) => ({ ...(body as object), Message: JSON.stringify(event) }))];
  }
  return plain;
}

describe.each(dialectNames)('%s', (dialect) => {
  const source = senderOf(dialect);

  it('announces nothing but images with valid names, whichever value of an event is another', async () => {
    for (const name of samplesOf(dialect)) {
      const sample = readSample(name);
      if (sample.rawBody.length === 0) continue;
      for (const body of variants(JSON.parse(sample.rawBody.toString()))) {
        const receipt = await receive(withBody(sample, body), source, deps);
        expect([200, 400]).toContain(receipt.status);
        for (const { repository, tag, digest: hint, ...rest } of receipt.announcements) {
          const isGood =
            isRegistryName(repository.registry) &&
            isRepositoryName(repository.repository) &&
            isAllowed(source, repository) &&
            (tag === undefined || isTag(tag)) &&
            (hint === undefined || isDigest(hint)) &&
            (tag ?? hint) !== undefined;
          expect(isGood, `${name}: ${JSON.stringify({ repository, tag, hint, rest })}`).toBe(true);
        }
        for (const { what = '' } of receipt.ignored) expect(what).toMatch(/^[^\p{Cc}\p{Cf}]{0,300}$/u);
        const limit = dialect === 'plain' ? 2000 : 1000;
        expect(receipt.body.length + JSON.stringify(receipt.headers).length).toBeLessThan(limit);
      }
    }
  });

  it('takes a digest in the place of a tag for what it is', async () => {
    const tagged = samplesOf(dialect).filter((name) => !name.includes('delete'));
    let pushesByDigest = 0;
    for (const name of tagged) {
      const sample = readSample(name);
      const text = sample.rawBody.toString();
      const data = /"data":"([A-Za-z0-9+/=]{40,})"/.exec(text)?.[1];
      const swap = (part: string) => part.replaceAll(/(?<![\d.])1\.4\.2(?![\d.])/g, digest);
      const changed =
        data === undefined
          ? swap(text)
          : text.replace(data, Buffer.from(swap(Buffer.from(data, 'base64').toString())).toString('base64'));
      if (changed === text) continue;
      const { announcements } = await receive(withBody(sample, changed), source, deps);
      for (const one of announcements) expect(one.tag, name).not.toBe(digest);
      pushesByDigest += announcements.filter(({ tag, digest: of }) => tag === undefined && of !== undefined).length;
    }
    expect(pushesByDigest).toBeGreaterThan(0);
  });

  it('is not held up by what is deep or long', async () => {
    const sample = { ...readSample(samplesOf(dialect)[0] ?? ''), method: 'POST' };
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const long = JSON.stringify({ events: Array(50_000).fill({}), data: { resources: Array(50_000).fill({}) } });
    for (const text of [
      deep,
      `{"a":${deep}}`,
      long,
      `[${'{},'.repeat(100_000)}{}]`,
      '\u{feff}{}',
      '{"__proto__":{"action":"push"}}',
    ]) {
      const receipt = await receive(withBody(sample, text), source, deps);
      expect([200, 400, 413]).toContain(receipt.status);
      expect(receipt.announcements).toEqual([]);
    }
  });

  it('takes a delivery that comes again as it took the first', async () => {
    for (const name of samplesOf(dialect)) {
      const first = await receive(readSample(name), source, deps);
      expect(await receive(readSample(name), source, deps)).toEqual(first);
    }
  });
});
