import { describe, expect, it } from 'vitest';
import { createBlobIndex } from '../../core/copy/blob-index.ts';
import type { Claim } from '../../core/copy/claims.ts';
import type { BlobPlace, BlobPlaces } from '../../core/pipeline/ports/blob-places.ts';

const registry = 'registry.example';
const one = { registry, repository: 'team/one' };
const two = { registry, repository: 'team/two' };
const digest = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}`;
const day = 24 * 3_600_000;

/** A ledger that notes what it is asked, in order, and answers when told. */
function noting(found: BlobPlace[] = []) {
  const calls: string[] = [];
  const held: Array<() => void> = [];
  const state = { isHeld: false, fails: false };
  const answer = async (call: string) => {
    if (state.isHeld) await new Promise<void>((resolve) => held.push(resolve));
    calls.push(call);
    if (state.fails) throw new Error('no ledger');
  };
  const ledger: BlobPlaces = {
    async findBlobs(_registry, digests, since) {
      await answer(`find ${digests.length}`);
      return found.filter((place) => digests.includes(place.digest) && place.at > since);
    },
    writeBlobs: ({ repository }, digests) => answer(`write ${repository} ${digests.length}`),
    forgetBlobs: ({ repository }, digests) => answer(`forget ${repository} ${digests.length}`),
  };
  const release = () => {
    state.isHeld = false;
    for (const go of held.splice(0)) go();
  };
  return { ledger, calls, state, release };
}

describe('the index of blobs', () => {
  it('reads each blob of the ledger once, however many ask at a time, and knows it for a day', async () => {
    let now = 10 * day;
    const places = [
      { digest: digest(1), repository: one.repository, at: now - day / 2 },
      { digest: digest(2), repository: one.repository, at: now - day },
    ];
    const { ledger, calls, state, release } = noting(places);
    const index = createBlobIndex(ledger, { now: () => now });
    state.isHeld = true;
    const asked = [index.load(registry, [digest(1), digest(1)]), index.load(registry, [digest(1), digest(2)])];
    release();
    await Promise.all(asked);
    await index.load(registry, [digest(2), digest(1)]);
    expect(calls).toEqual(['find 1', 'find 1']);
    expect([index.isKnown(one, digest(1)), index.isKnown(one, digest(2))]).toEqual([true, false]);
    expect(index.isKnown(two, digest(1))).toBe(false);
    // Half a day old when it was read.
    now += day / 2 + 1;
    expect(index.isKnown(one, digest(1))).toBe(false);
    index.add(one, digest(1));
    now += day - 1;
    expect(index.isKnown(one, digest(1))).toBe(true);
    now += 2;
    expect(index.isKnown(one, digest(1))).toBe(false);
    await index.load(registry, [digest(1)]);
    expect(calls).toHaveLength(3);
  });

  it('asks a ledger that failed again', async () => {
    const { ledger, calls, state } = noting();
    const index = createBlobIndex(ledger);
    state.fails = true;
    await expect(index.load(registry, [digest(1)])).rejects.toThrow('no ledger');
    state.fails = false;
    await index.load(registry, [digest(1)]);
    expect(calls).toHaveLength(2);
  });

  it('names another repository to mount from, and none that is forgotten', async () => {
    const { ledger } = noting();
    const index = createBlobIndex(ledger);
    index.add(one, digest(1));
    expect(index.mountSource(one, digest(1))).toBeUndefined();
    expect(index.mountSource(two, digest(1))).toBe(one.repository);
    expect(index.mountSource({ ...two, registry: 'other.example' }, digest(1))).toBeUndefined();
    index.add(two, digest(1));
    expect(index.mountSource(one, digest(1))).toBe(two.repository);
    await index.forget(two, [digest(1)]);
    expect(index.isKnown(two, digest(1))).toBe(false);
    expect(index.mountSource(one, digest(1))).toBeUndefined();
    for (let n = 0; n < 20; n += 1) index.add({ registry, repository: `team/more${n}` }, digest(1));
    expect(index.mountSource({ registry, repository: 'team/more19' }, digest(1))).toBe('team/more18');
  });

  it('writes what is new once, and never what was forgotten', async () => {
    const { ledger, calls, state, release } = noting();
    const index = createBlobIndex(ledger);
    index.add(one, digest(1));
    index.add(one, digest(2));
    index.add(two, digest(1));
    await index.forget(one, [digest(2)]);
    await Promise.all([index.flush(), index.flush()]);
    await index.flush();
    expect(calls).toEqual(['forget team/one 1', 'write team/one 1', 'write team/two 1']);

    calls.length = 0;
    state.isHeld = true;
    index.add(one, digest(3));
    const flushed = index.flush();
    const forgotten = index.forget(one, [digest(3)]);
    release();
    await Promise.all([flushed, forgotten]);
    expect(calls).toEqual(['write team/one 1', 'forget team/one 1']);
  });

  it('writes what is added during a write in one flush, however many ask for one', async () => {
    const { ledger, calls, state, release } = noting();
    const index = createBlobIndex(ledger);
    state.isHeld = true;
    index.add(one, digest(1));
    const first = index.flush();
    await Promise.resolve();
    const others = [2, 3, 4].map((at) => {
      index.add(one, digest(at));
      return index.flush();
    });
    release();
    await Promise.all([first, ...others]);
    expect(calls).toEqual(['write team/one 1', 'write team/one 3']);
  });

  it('writes at times where it may, and all of it when it is told', async () => {
    const { ledger, calls } = noting();
    let now = day;
    const index = createBlobIndex(ledger, { now: () => now, flushEveryMs: 1000 });
    const bring = (n: number) => {
      index.add(one, digest(n));
      return index.flush();
    };
    await bring(1);
    await bring(2);
    now += 999;
    await bring(3);
    expect(calls).toEqual(['write team/one 1']);
    now += 1;
    await bring(4);
    await bring(5);
    expect(calls).toEqual(['write team/one 1', 'write team/one 3']);
    await index.flushAll();
    expect(calls).toEqual(['write team/one 1', 'write team/one 3', 'write team/one 1']);
  });

  it('goes on writing after a write that failed', async () => {
    const { ledger, calls, state } = noting();
    const index = createBlobIndex(ledger);
    state.fails = true;
    index.add(one, digest(1));
    await expect(index.flush()).rejects.toThrow('no ledger');
    state.fails = false;
    index.add(one, digest(2));
    await index.flush();
    expect(calls).toHaveLength(2);
  });

  it('gives one upload of a blob a registry at a time, and one a repository where mounts are refused', async () => {
    const index = createBlobIndex(noting().ledger);
    const release = (claim: Claim) => (claim.kind === 'taken' ? claim.release() : expect.unreachable());
    const first = index.claimUpload(one, digest(1));
    expect(index.claimUpload(one, digest(1)).kind).toBe('busy');
    const waiting = index.claimUpload(two, digest(1));
    expect(index.claimUpload(two, digest(2)).kind).toBe('taken');
    expect(index.claimUpload({ ...two, registry: 'other.example' }, digest(1)).kind).toBe('taken');
    release(first);
    await (waiting.kind === 'busy' ? waiting.ended : expect.unreachable());

    const again = index.claimUpload(one, digest(1));
    index.noteRefusedMount(registry);
    const second = index.claimUpload(two, digest(1));
    expect([again.kind, second.kind]).toEqual(['taken', 'taken']);
    // The first was claimed when mounts were thought to work.
    expect(index.claimUpload(one, digest(1)).kind).toBe('busy');
    release(again);
    expect(index.claimUpload(one, digest(1)).kind).toBe('taken');
    expect(index.claimUpload(two, digest(1)).kind).toBe('busy');
  });

  it('gives a manifest to one copy for all its repositories, or for none', () => {
    const index = createBlobIndex(noting().ledger);
    const first = index.claimManifest([one], digest(1));
    expect(index.claimManifest([two, one], digest(1)).kind).toBe('busy');
    // Nothing was kept of what was not given, and a blob is something else.
    expect(index.claimManifest([two], digest(1)).kind).toBe('taken');
    expect(index.claimUpload(one, digest(1)).kind).toBe('taken');
    if (first.kind === 'taken') first.release();
    expect(index.claimManifest([one], digest(1)).kind).toBe('taken');
  });

  it('keeps what is used and forgets the rest when it has grown large', () => {
    const index = createBlobIndex(noting().ledger);
    for (let n = 0; n < 60_000; n += 1) {
      index.add(one, digest(n));
      if (n % 1000 === 0) expect(index.isKnown(one, digest(0))).toBe(true);
    }
    expect(index.isKnown(one, digest(1))).toBe(false);
    expect(index.isKnown(one, digest(59_999))).toBe(true);
  });
});
