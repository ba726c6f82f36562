import type { ServerResponse } from 'node:http';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type ErrorClass, type ErrorCode, TranshipError } from '../../core/model/errors.ts';
import { unauthorized } from '../../core/registry/auth/token.ts';
import { openBlob } from '../../core/registry/blobs.ts';
import type { RequestEvent } from '../../core/registry/client.ts';
import { classify, parseErrors, refusal } from '../../core/registry/http-error.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { retry } from '../../core/registry/retry.ts';
import { listTags } from '../../core/registry/tags.ts';
import { startUpload } from '../../core/registry/uploads.ts';
import { ociError, repositoryAt, scriptedRegistry, testClient } from '../support/scripted-registry.ts';

const none = { codes: [], text: '' };
const policy = { attempts: 3, baseMs: 1, capMs: 2 };
const manifestHeaders = {
  'content-type': 'application/vnd.oci.image.manifest.v1+json',
  'docker-content-digest': `sha256:${'a'.repeat(64)}`,
};
const failure = (errorClass: ErrorClass, code: ErrorCode = 'network', retryAt?: number) =>
  new TranshipError('failed', {
    class: errorClass,
    code,
    registry: 'r.example',
    ...(retryAt !== undefined && { retryAt }),
  });

/** Runs steps that fail in turn with the given errors, then succeed. */
async function run(failures: unknown[], options: { signal?: AbortSignal; maxThrottleWaitMs?: number } = {}) {
  let tries = 0;
  const result = await retry(policy, options, async (attempt) => {
    tries = attempt;
    if (failures.length > 0) throw failures.shift();
    return 'done';
  }).catch((error: unknown) => error);
  return { result, tries };
}

describe('retry', () => {
  it('repeats what is transient, up to the bound', async () => {
    expect(await run([failure('transient'), failure('transient')])).toEqual({ result: 'done', tries: 3 });
    const last = failure('transient');
    expect(await run([failure('transient'), failure('transient'), last])).toEqual({ result: last, tries: 3 });
  });

  it('repeats nothing else', async () => {
    for (const error of [failure('permanent'), failure('configuration'), failure('transient', 'aborted')]) {
      expect(await run([error])).toEqual({ result: error, tries: 1 });
    }
  });

  it('waits out a short throttling, and hands a long one on', async () => {
    const soon = () => failure('throttled', 'throttled', Date.now() + 5);
    expect(await run([soon()], { maxThrottleWaitMs: 1000 })).toEqual({ result: 'done', tries: 2 });
    const long = failure('throttled', 'throttled', Date.now() + 60_000);
    expect(await run([long], { maxThrottleWaitMs: 1000 })).toEqual({ result: long, tries: 1 });
  });

  it('always says when a throttled registry may be asked again', async () => {
    const { result, tries } = await run([1, 2, 3].map(() => failure('throttled', 'throttled')));
    expect(tries).toBe(3);
    expect(result).toMatchObject({ class: 'throttled', code: 'throttled', site: { registry: 'r.example' } });
    expect((result as TranshipError).retryAt).toBeGreaterThan(Date.now());
  });

  it('stops waiting when it is told to', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = retry(policy, { signal, maxThrottleWaitMs: 60_000 }, async () => {
      setTimeout(() => controller.abort(), 5);
      throw failure('throttled', 'throttled', Date.now() + 30_000);
    });
    await expect(waiting).rejects.toMatchObject({ class: 'transient', code: 'aborted' });
    await expect(retry(policy, controller.signal, async () => 'done')).rejects.toMatchObject({ code: 'aborted' });
  });
});

describe('a registry that is down', () => {
  it('is asked again for all calls together, and a moment later for the next ones', async () => {
    let isDown = true;
    await using registry = await scriptedRegistry(({ url }) => {
      if (url !== '/v2/') return { headers: manifestHeaders };
      return isDown ? { status: 503 } : undefined;
    });
    const refused: RequestEvent[] = [];
    const onRequest = (event: RequestEvent) => void (event.status === 503 && refused.push(event));
    await using client = testClient({ retry: policy, onRequest });
    const ask = (tag: number) => headManifest(client, { ...repositoryAt(registry), tag: `v${tag}` });
    const ends = await Promise.allSettled(Array.from({ length: 100 }, (_, tag) => ask(tag)));
    for (const end of ends) expect(end).toMatchObject({ reason: { class: 'transient', code: 'server-error' } });
    await expect(ask(101)).rejects.toMatchObject({ code: 'server-error' });
    expect(refused).toHaveLength(policy.attempts);
    isDown = false;
    await vi.waitFor(() => ask(102), { timeout: 30_000, interval: 100 });
  });
});

describe('a registry that goes down after it was reached', () => {
  it('is asked again by each call for a minute, and then once by each, until it is back', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    let isDown = false;
    await using registry = await scriptedRegistry(() => (isDown ? 'hang up' : { headers: manifestHeaders }));
    const unanswered: RequestEvent[] = [];
    const onRequest = (event: RequestEvent) => void (event.status === undefined && unanswered.push(event));
    await using client = testClient({ retry: policy, onRequest });
    const target = { ...repositoryAt(registry), tag: '1' };
    await headManifest(client, target);
    isDown = true;
    const tries = async () => {
      unanswered.length = 0;
      await expect(headManifest(client, target)).rejects.toMatchObject({ class: 'transient', code: 'network' });
      return unanswered.length;
    };
    const triesAfter = async (ms: number) => {
      vi.advanceTimersByTime(ms);
      return tries();
    };
    expect([await tries(), await triesAfter(30_000), await triesAfter(31_000), await triesAfter(0)]).toEqual([
      3, 3, 1, 1,
    ]);
    // Nobody asked for more than a minute.
    expect([await triesAfter(61_000), await triesAfter(59_000), await triesAfter(2000)]).toEqual([3, 3, 1]);
    isDown = false;
    expect(await headManifest(client, target)).toBeDefined();
    isDown = true;
    expect(await tries()).toBe(3);
  });
});

describe('a read that gets no answer in time', () => {
  /** A registry that answers no GET by itself, and the client's first question to it. */
  async function asking(lastOfPath: string) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const held: ServerResponse[] = [];
    const registry = await scriptedRegistry(({ url }, response) => {
      if (!url.endsWith(lastOfPath)) return undefined;
      held.push(response);
      return 'answered';
    });
    const client = testClient({ retry: policy });
    onTestFinished(async () => {
      await client[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    });
    return { held, client, repository: repositoryAt(registry) };
  }

  const asked = (held: unknown[], times: number) => expect.poll(() => held.length).toBe(times);

  it('has five times as long in the next try', async () => {
    const { held, client, repository } = await asking('/tags/list?n=1000');
    const tags = listTags(client, repository).next();
    await asked(held, 1);
    vi.advanceTimersByTime(60_001);
    await asked(held, 2);
    vi.advanceTimersByTime(299_000);
    held[1]?.end('{"tags": ["a"]}');
    expect(await tags).toMatchObject({ value: ['a'] });
  });

  it('has it in the next try of a blob, and no third one', async () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const { held, client, repository } = await asking(digest);
    const read = retry(policy, undefined, () => openBlob(client, repository, digest));
    const failure = expect(read).rejects.toMatchObject({ class: 'transient', code: 'timeout' });
    await asked(held, 1);
    vi.advanceTimersByTime(60_001);
    await asked(held, 2);
    vi.advanceTimersByTime(300_001);
    await failure;
    expect(held).toHaveLength(2);
  });
});

describe('what a status means', () => {
  it.each<[number, string[], ErrorClass, ErrorCode]>([
    [400, [], 'permanent', 'refused'],
    [401, [], 'permanent', 'unauthorized'],
    [403, ['DENIED'], 'permanent', 'denied'],
    [403, ['TOOMANYREQUESTS'], 'throttled', 'throttled'],
    [404, [], 'permanent', 'not-found'],
    [404, ['MANIFEST_UNKNOWN'], 'permanent', 'not-found'],
    [404, ['BLOB_UNKNOWN'], 'permanent', 'blob-unknown'],
    [404, ['TAG_EXPIRED'], 'permanent', 'not-found'],
    [404, ['TEAPOT'], 'permanent', 'refused'],
    [405, ['UNSUPPORTED'], 'permanent', 'unsupported'],
    [408, [], 'transient', 'timeout'],
    [413, [], 'permanent', 'limit-exceeded'],
    [416, [], 'transient', 'protocol'],
    [429, [], 'throttled', 'throttled'],
    [499, [], 'transient', 'timeout'],
    [400, ['UNKNOWN'], 'transient', 'server-error'],
    [400, ['DIGEST_INVALID'], 'transient', 'digest-mismatch'],
    [400, ['MANIFEST_BLOB_UNKNOWN'], 'transient', 'blob-unknown'],
    [500, ['UNKNOWN'], 'transient', 'server-error'],
    [501, [], 'permanent', 'unsupported'],
    [503, [], 'transient', 'server-error'],
    [522, [], 'transient', 'server-error'],
    [302, [], 'permanent', 'protocol'],
  ])('%i %j is %s %s', (status, codes, errorClass, code) => {
    expect(classify(status, codes, '')).toMatchObject({ class: errorClass, code });
  });

  it.each([
    [503, [], 'Too Many Requests (HAP429).'],
    [403, [], 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.'],
    [400, ['THROTTLINGEXCEPTION'], 'Rate exceeded'],
    [403, ['DENIED'], "Quota exceeded for quota metric 'Requests per project per region per minute'"],
    [500, ['UNKNOWN'], 'UNKNOWN: unknown error (toomanyrequests: You have reached your pull limit)'],
    [200, ['TOOMANYREQUESTS'], ''],
  ])('is a throttling where only the text says so: %i %j %s', (status, codes, text) => {
    expect(classify(status, codes, text)).toMatchObject({ class: 'throttled' });
  });
});

describe('what a person has to do', () => {
  const page = '<html><head><title>Attention Required!</title>';
  it.each([
    [403, 'DENIED', 'Your authorization token has expired. Reauthenticate and try again.', /^log in to .* again/],
    [403, 'DENIED', 'Quota has been exceeded on namespace', /has no room left for team\/app/],
    [412, 'PRECONDITION', '12 MiB will exceed the configured upper limit of 10.0 GiB.', /has no room left/],
    [500, 'UNKNOWN', 'unknown error ({"Err":28})', /has no room left/],
    [
      403,
      'DENIED',
      'not downloaded due to the download blocking policy configured in Xray',
      /^a policy of .* holds it/,
    ],
    [412, 'PROJECTPOLICYVIOLATION', 'current image with 3 vulnerabilities cannot be pulled', /^a policy of/],
    [403, 'DENIED', 'no resource-based policy allows the ecr:BatchGetImage action', /needs the right/],
    [403, 'DENIED', "client with IP '192.0.2.1' is not allowed access", /^let the address of this machine through/],
    [403, 'DENIED', 'The system is in read only mode. Any modification is prohibited.', /is read-only for now/],
    [404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown', /need one storage and one secret/],
    [400, '', '400 No required SSL certificate was sent', /^name a client certificate/],
    [400, 'NAME_INVALID', 'invalid repository name', /takes no repository named team\/app/],
    [403, 'DENIED', 'requested access to the resource is denied', /needs the right to team\/app/],
    [403, undefined, page, /a web page says so.*a firewall or a proxy refuses/],
    [429, 'TOOMANYREQUESTS', 'Quota exceeded', undefined],
  ])('after %i %s %s is told', async (status, code, said, mend) => {
    await using registry = await scriptedRegistry(({ url }) => {
      if (url === '/v2/') return undefined;
      return code === undefined ? { status, body: said } : ociError(status, code, said);
    });
    await using client = testClient();
    const error = await openBlob(client, repositoryAt(registry), `sha256:${'a'.repeat(64)}`).catch((thrown) => thrown);
    expect(error.mend).toEqual(mend === undefined ? undefined : expect.stringMatching(mend));
  });

  it.each([
    ['docker.io', 'team/a/app', true],
    ['docker.io', 'team/app', false],
    ['quay.io', 'team/a/app', false],
  ])('about the name %s/%s is told where it has too many parts: %s', async (registry, repository, isToldOf) => {
    await using client = testClient();
    const call = { client, repository: { registry, repository }, operation: 'x', subject: 'y' } as const;
    const url = new URL('https://r.example/');
    const denied = refusal({ ...call, access: 'push' }, { status: 403, headers: {}, isForeign: false, url }, none);
    for (const { mend = '' } of [denied, unauthorized({ ...call, access: 'push' }, undefined, 'no')]) {
      expect(mend.includes('takes NAMESPACE/NAME alone')).toBe(isToldOf);
    }
  });
});

describe('a registry that is read-only for a while', () => {
  it('is asked again', async () => {
    const refusals = [ociError(403, 'DENIED', 'The system is in read only mode. Any modification is prohibited.')];
    await using registry = await scriptedRegistry(({ method }) =>
      method === 'POST' ? (refusals.shift() ?? { status: 202, headers: { location: '/u/1' } }) : undefined,
    );
    await using client = testClient();
    const start = () => startUpload(client, repositoryAt(registry));
    expect(await retry(policy, undefined, start)).toMatchObject({ kind: 'session' });
  });
});

describe('a throttled registry', () => {
  it('is left alone until it says, and asked again only if that is soon', async () => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 429, headers: { 'retry-after': '3600' } },
    );
    await using client = testClient();
    const before = Date.now();
    const error = await headManifest(client, { ...repositoryAt(registry), tag: '1' }).catch((thrown) => thrown);
    expect(error).toMatchObject({ class: 'throttled', code: 'throttled', site: { status: 429 } });
    expect(error.retryAt).toBeGreaterThanOrEqual(before + 3_600_000);
    expect(registry.requests).toHaveLength(1);
  });

  it('is asked again at once where it says 0', async () => {
    let round = 0;
    await using registry = await scriptedRegistry(({ url }) => {
      if (url === '/v2/') return undefined;
      round += 1;
      return round === 1 ? { status: 429, headers: { 'retry-after': '0' } } : { status: 404 };
    });
    await using client = testClient();
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toBeUndefined();
  });

  it('may be one that is down and says for how long', async () => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 503, headers: { 'retry-after': '600' } },
    );
    await using client = testClient();
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      class: 'throttled',
      code: 'server-error',
    });
  });
});

describe('an error', () => {
  const digest = `sha256:${'a'.repeat(64)}`;

  it('says where and what, on one short line', async () => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 500, body: `boom\n\u001b[31m${'x'.repeat(100_000)}` },
    );
    await using client = testClient();
    const error = await openBlob(client, repositoryAt(registry), digest).catch((thrown) => thrown);
    expect(error.message).toMatch(new RegExp(`^get blob ${registry.host}/team/app@${digest}: status 500 \\(boom`));
    expect(error.message.length).toBeLessThan(600);
    expect(error.message).not.toMatch(/\p{Cc}/u);
    expect(error.site).toEqual({ registry: registry.host, repository: 'team/app', operation: 'get blob', status: 500 });
  });

  it.each([
    ['{"errors":[{"status":404,"message":"The repository is gone"}]}', 'The repository is gone'],
    ['{"errors":["no such image"]}', 'no such image'],
    ['{"errors":{"code":"denied","message":"no"}}', 'DENIED: no'],
    ['{"timestamp":1,"status":500,"error":"Internal Server Error","message":"boom"}', 'boom'],
    ['{"error":"invalid_grant","error_description":"the password has expired"}', 'the password has expired'],
    ['{"type":"about:blank","title":"Forbidden"}', 'Forbidden'],
    ['{"errors":[{"code":"DENIED","message":"","detail":{"a":1}}]}', 'DENIED'],
    [
      '{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Err":28,"Op":"mkdir"}}]}',
      'UNKNOWN: unknown error ({"Err":28,"Op":"mkdir"})',
    ],
    [
      '{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid","detail":"no lists"}]}',
      'MANIFEST_INVALID: manifest invalid (no lists)',
    ],
    [
      '{"errors":[{"code":"NAME_UNKNOWN","message":"unknown name","detail":{"name":"a"}}]}',
      'NAME_UNKNOWN: unknown name',
    ],
    ['{"errors":[{"code":"UNKNOWN","message":"boom","detail":"boom"}]}', 'UNKNOWN: boom'],
    [
      '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>',
      'AccessDenied: Request has expired',
    ],
    ['{"errors":null}', '{"errors":null}'],
    ['null', 'null'],
    ['plain text', 'plain text'],
    ['<html>nginx</html>', ''],
    ['<html><head><title>400 No required SSL certificate was sent</title>', '400 No required SSL certificate was sent'],
  ])('quotes %s as "%s"', (body, text) => {
    expect(parseErrors(body).text).toBe(text);
  });

  it('of a broken connection is counted as a request without an answer', async () => {
    const events: RequestEvent[] = [];
    await using registry = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : 'hang up'));
    await using client = testClient({ onRequest: (event) => events.push(event) });
    await expect(openBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({
      class: 'transient',
      code: 'network',
    });
    expect(events.at(-1)).toEqual({ registry: registry.host, method: 'GET', operation: 'get blob' });
  });
});
