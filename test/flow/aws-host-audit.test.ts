import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { auditCopies, auditRun } from '../support/aws-host/audit.ts';

describe('the audit of copies', () => {
  let registry: EmbeddedRegistry;

  beforeAll(async () => {
    registry = await startRegistry();
  });

  afterAll(() => registry.close());

  it('finds what is missing, different, too much, or incomplete', async () => {
    const [source, destination] = ['source/app', 'destination/app'].map((repository) => ({
      url: registry.url,
      repository,
    })) as [{ url: string; repository: string }, { url: string; repository: string }];
    for (const tag of ['same', 'missing', 'different', 'incomplete']) await pushImage(source, { seed: tag, tag });
    await pushImage(destination, { seed: 'same', tag: 'same' });
    await pushImage(destination, { seed: 'other', tag: 'different' });
    await pushImage(destination, { seed: 'extra', tag: 'extra' });
    const { layers } = await pushImage(destination, { seed: 'incomplete', tag: 'incomplete' });
    registry.content.deleteBlob(destination.repository, layers[0]!.digest);
    expect(await auditCopies(source, destination, { without: ['same'] })).toEqual([
      expect.stringMatching(/^different: sha256:.* where the source has sha256:/),
      'extra: not at the source',
      `incomplete: blob ${layers[0]!.digest}: status 404`,
      'missing: missing',
      'same: should not be there',
    ]);
  });
});

describe('the audit of a run', () => {
  const row = (tag: string, result: Outcome['result']): Outcome => ({
    runId: 'r',
    ruleId: 'rule',
    source: { registry: 'a.test', repository: 'app', tag },
    destination: { registry: 'b.test', repository: 'app', tag },
    result,
    bytes: 10,
    mounted: 0,
    present: 0,
    at: 1,
  });
  const run = (counts: Partial<RunRecord['counts']>): RunRecord => ({
    id: 'r',
    trigger: 'test',
    startedAt: 0,
    state: 'done',
    ruleFailures: [],
    counts: { planned: 3, copied: 2, deleted: 0, unchanged: 1, failed: 0, deferred: 0, bytes: 20, ...counts },
  });
  const rows = [row('1', 'copied'), row('2', 'copied')];

  it('finds nothing where counters, report and announcement agree', () => {
    expect(auditRun(run({}), rows, [run({})], 3)).toEqual([]);
  });

  it('finds what is lost, counted twice or announced wrongly', () => {
    expect(auditRun(undefined, [], [], 0)).toEqual(['there is no such run']);
    expect(auditRun(run({ unchanged: 0 }), rows, [run({ unchanged: 0 })], 3)).toEqual(['outcomes: 2, not 3']);
    expect(auditRun(run({}), [...rows, row('2', 'unchanged')], [run({})], 3)).toEqual([
      'destinations reported twice: 1, not 0',
      'bytes: 20, not 30',
    ]);
    expect(auditRun(run({}), rows, [run({}), run({})], 3)).toEqual(['announcements: 2, not 1']);
    expect(auditRun(run({}), rows, [run({ copied: 1 })], 3)[0]).toContain('announced counts');
  });
});
