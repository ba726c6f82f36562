import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { headManifest } from '../../core/registry/manifests.ts';
import { scriptedRegistry, testClient } from '../support/scripted-registry.ts';

/** What DNS says, in turn; the last is for ever. */
const said: string[] = [];
let asked = 0;
/** Ends lookups that get no answer. */
const silent: Array<() => void> = [];

const { lookup } = dns;
const scripted = (_host: string, _options: unknown, callback: (error: Error | null, found: unknown) => void) => {
  const answer = said[Math.min(asked, said.length - 1)] ?? '';
  asked += 1;
  if (answer.startsWith('E')) callback(Object.assign(new Error(answer), { code: answer }), []);
  else if (answer === 'nothing') silent.push(() => callback(new Error('late'), []));
  else callback(null, [{ address: answer, family: 4 }]);
};

beforeEach(() => {
  said.length = 0;
  asked = 0;
  Object.assign(dns, { lookup: scripted });
  syncBuiltinESMExports();
});

afterEach(() => {
  vi.useRealTimers();
  Object.assign(dns, { lookup });
  syncBuiltinESMExports();
});

const portOf = (host: string) => host.split(':')[1];

describe('a registry by its name', () => {
  it('is reached when DNS works again', async () => {
    await using registry = await scriptedRegistry(() => ({ status: 404 }));
    await using client = testClient();
    said.push('EAI_AGAIN', 'EAI_AGAIN', 'EAI_AGAIN', '127.0.0.1');
    const target = { registry: `r.test:${portOf(registry.host)}`, repository: 'a', tag: '1' };
    expect(await headManifest(client, target)).toBeUndefined();
  });

  it('is transient while DNS does not answer', async () => {
    await using client = testClient();
    said.push('EAI_AGAIN');
    await expect(headManifest(client, { registry: 'r.test', repository: 'a', tag: '1' })).rejects.toMatchObject({
      class: 'transient',
      code: 'network',
      message: expect.stringContaining('EAI_AGAIN'),
    });
  });

  it('is not blamed where DNS says nothing', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await using client = testClient({ login: { insecure: false }, retry: { attempts: 1, baseMs: 1, capMs: 1 } });
    said.push('nothing');
    const asking = headManifest(client, { registry: 'r.test', repository: 'a', tag: '1' }).catch((error) => error);
    await vi.waitFor(() => expect(asked).toBe(1));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await asking).toMatchObject({
      class: 'transient',
      code: 'timeout',
      message: 'ping r.test: DNS gave no answer for r.test in time',
      mend: expect.stringContaining('DNS server'),
    });
    for (const end of silent.splice(0)) end();
  });

  it('that does not exist is a mistake, told after two look-ups', async () => {
    await using client = testClient({ login: { insecure: false } });
    said.push('ENOTFOUND');
    await expect(headManifest(client, { registry: 'regsitry.test', repository: 'a', tag: '1' })).rejects.toMatchObject({
      class: 'permanent',
      code: 'network',
      message: 'ping regsitry.test: there is no host regsitry.test: DNS does not know the name (ENOTFOUND)',
      mend: expect.stringContaining('check the spelling'),
    });
    expect(asked).toBe(2);
  });
});
