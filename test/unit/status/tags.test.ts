import { afterEach, describe, expect, it } from 'vitest';
import type { Outcome } from '../../../core/pipeline/ports/runs.ts';
import { listTags, type TagQuery } from '../../../core/status/tags.ts';
import { openLedger } from '../../../machine/state/ledger.ts';
import { temporaryState } from '../../support/state.ts';

const states = temporaryState();
afterEach(states.clean);

const repository = { registry: 'mirror.example', repository: 'app' };
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

async function openTags(names: string[], failing: string[]) {
  const ledger = openLedger(states.open(states.directory()));
  for (const name of names) {
    const target = name.includes(':') ? { ...repository, digest: name } : { ...repository, tag: name };
    await ledger.write({
      destination: target,
      source: target,
      sourceDigest: digest('a'),
      destinationDigest: digest('a'),
      platforms: '',
      at: 1,
      how: 'copied',
    });
  }
  const outcomes = failing.map((tag): Outcome => {
    const destination = { ...repository, tag };
    const counts = { bytes: 0, mounted: 0, present: 0, at: 2 };
    return { runId: 'r', ruleId: 'app', source: destination, destination, result: 'failed', ...counts };
  });
  const other = { registry: 'mirror.example', repository: 'app/other', tag: 'b1' };
  const elsewhere = outcomes.map((outcome) => ({ ...outcome, destination: other }));
  return async (query: Partial<TagQuery> = {}) => {
    const { rows, next } = await listTags(ledger, [...elsewhere, ...outcomes], { repository, limit: 3, ...query });
    const shown = rows.map(({ destination, state }) => `${destination.tag ?? destination.digest} ${state}`);
    return { shown, next };
  };
}

describe('a page of tags', () => {
  it('merges tags that failed into those with a record, in byte order, and goes on behind its last one', async () => {
    const list = await openTags(['a', 'c', 'e'], ['b', 'c', 'f']);
    expect(await list()).toEqual({ shown: ['a in-step', 'b failed', 'c failed'], next: 'c' });
    expect(await list({ after: 'c' })).toEqual({ shown: ['e in-step', 'f failed'], next: undefined });
    expect(await list({ after: 'b', limit: 1 })).toEqual({ shown: ['c failed'], next: 'c' });
  });

  it('ends where its last row is the last of all', async () => {
    const list = await openTags(['a', 'b'], ['c']);
    expect(await list()).toEqual({ shown: ['a in-step', 'b in-step', 'c failed'], next: undefined });
  });

  it('has digests behind the tags, on whichever page they fall', async () => {
    const list = await openTags([digest('1'), digest('2'), 'z'], []);
    expect(await list({ limit: 2 })).toEqual({ shown: ['z in-step', `${digest('1')} in-step`], next: digest('1') });
    expect(await list({ after: 'z' })).toEqual({
      shown: [`${digest('1')} in-step`, `${digest('2')} in-step`],
      next: undefined,
    });
    expect(await list({ after: digest('1') })).toEqual({ shown: [`${digest('2')} in-step`], next: undefined });
  });

  it('takes only names that hold a text, or only what is not in step', async () => {
    const list = await openTags(['1.0', '1.0-alpine', '2.0-alpine'], ['1.1-alpine', '2.0-alpine', '3']);
    expect((await list({ text: 'alpine' })).shown).toEqual([
      '1.0-alpine in-step',
      '1.1-alpine failed',
      '2.0-alpine failed',
    ]);
    expect(await list({ problemsOnly: true, limit: 2 })).toEqual({
      shown: ['1.1-alpine failed', '2.0-alpine failed'],
      next: '2.0-alpine',
    });
    expect((await list({ problemsOnly: true, after: '2.0-alpine' })).shown).toEqual(['3 failed']);
    expect((await list({ problemsOnly: true, text: 'alpine', after: '1.1-alpine' })).shown).toEqual([
      '2.0-alpine failed',
    ]);
  });
});
