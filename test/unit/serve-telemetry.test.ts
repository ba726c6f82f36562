import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { loadRules } from '../../core/rules/load-rules.ts';
import { groupSchedules } from '../../machine/serve/schedules.ts';
import { createTelemetry } from '../../machine/serve/telemetry.ts';
import type { LastRun } from '../../machine/state/last-runs.ts';
import { senderOf } from '../support/announce.ts';

/** Two rules of one file: the first one at three, the second one by the schedule that is given. */
function config(cron: string) {
  const { rules } = loadRules(
    `version: 1
rules:
  - { name: a, from: a.example/app, to: [m.example/app, n.example/app] }
  - { name: b, from: b.example/app, to: m.example/other }
`,
    { file: 'tranship.yaml', env: {} },
  );
  const own = { a: { cron: '0 3 * * *', jitterMs: 0 }, b: { cron, jitterMs: 0 } };
  return { rules, senders: new Map([['ci', senderOf('plain')]]), scheduled: groupSchedules(rules, own, undefined) };
}

function telemetryOf(lastRuns: LastRun[] = []) {
  const read = { queued: () => 0, parks: async () => [], deadLetters: () => 0, nextStarts: () => [] };
  const telemetry = createTelemetry({ version: '1', read, lastRuns });
  const lines = async (name: string) =>
    (await telemetry.render()).text.split('\n').filter((line) => line.startsWith(`tranship_${name}{`));
  return { ...telemetry, lines };
}

const run = (trigger: string, change: Partial<RunRecord> = {}): RunRecord => ({
  ...{ id: 'run-1', trigger, state: 'done', startedAt: 1000, endedAt: 5000, ruleFailures: [] },
  counts: { planned: 1, copied: 1, deleted: 0, unchanged: 0, failed: 0, deferred: 0, bytes: 0 },
  ...change,
});
const [atThree, atFour] = ['schedule 0 3 * * *', 'schedule 0 4 * * *'];

describe('counters', () => {
  it('are at 0 before their first event, for what the files name', async () => {
    const { foresee, lines } = telemetryOf();
    foresee(config('0 4 * * *'));
    const outcome = (trigger: string, from: string, to: string) =>
      `tranship_outcomes_total{trigger="${trigger}",result="failed",source_registry="${from}",destination_registry="${to}"} 0`;
    const outcomes = await lines('outcomes_total');
    for (const trigger of ['push', 'redrive', 'start', 'by-hand', atThree]) {
      expect(outcomes).toContain(outcome(trigger, 'a.example', 'n.example'));
    }
    expect(outcomes).toContain(outcome(atFour, 'b.example', 'm.example'));
    expect(outcomes).not.toContain(outcome(atThree, 'b.example', 'm.example'));
    expect(await lines('deliveries_total')).toContain('tranship_deliveries_total{source="ci",status="401"} 0');
    expect(await lines('announcements_total')).toContain(
      'tranship_announcements_total{source="ci",result="unmatched"} 0',
    );
    expect(await lines('rule_failures_total')).toContain(`tranship_rule_failures_total{trigger="${atFour}"} 0`);
    expect(await lines('schedule_skipped_total')).toHaveLength(2);
    expect(await lines('reloads_total')).toHaveLength(2);
  });

  it('keep what they have counted when the files are read again', async () => {
    const { foresee, delivered, lines } = telemetryOf();
    foresee(config('0 4 * * *'));
    delivered({ sender: 'ci', status: 401, results: [], ignored: [] });
    foresee(config('0 5 * * *'));
    expect(await lines('deliveries_total')).toContain('tranship_deliveries_total{source="ci",status="401"} 1');
  });

  it('are not foreseen without bound', async () => {
    const { rules, ...more } = config('0 4 * * *');
    const [rule] = rules;
    const many = Array.from({ length: 10_000 }, (_, at) => ({
      ...rule!,
      id: `r${at}`,
      from: { registry: `${at}.example`, repository: 'app' },
    }));
    const { foresee, lines } = telemetryOf();
    foresee({ ...more, rules: many });
    expect((await lines('outcomes_total')).length).toBeLessThanOrEqual(5_000);
  });
});

describe('the times of last runs', () => {
  it('are 0 for a schedule that has never succeeded', async () => {
    const { foresee, runEnded, lines } = telemetryOf([{ trigger: atThree, endedAt: 4000 }]);
    foresee(config('0 4 * * *'));
    const name = 'tranship_last_success_timestamp_seconds';
    expect(await lines('last_success_timestamp_seconds')).toEqual([
      `${name}{trigger="${atThree}"} 0`,
      `${name}{trigger="${atFour}"} 0`,
    ]);
    runEnded(run(atThree));
    runEnded(run(atFour, { state: 'interrupted' }));
    expect(await lines('last_success_timestamp_seconds')).toEqual([
      `${name}{trigger="${atThree}"} 5`,
      `${name}{trigger="${atFour}"} 0`,
    ]);
    expect(await lines('last_run_end_timestamp_seconds')).toHaveLength(2);
  });

  it('are not told of a schedule that is no more, and are again when it is', async () => {
    const before = [
      { trigger: atFour, endedAt: 4000, succeededAt: 4000 },
      { trigger: 'push', endedAt: 4000, succeededAt: 4000 },
    ];
    const { foresee, runEnded, lines } = telemetryOf(before);
    const triggers = async () =>
      (await lines('last_run_end_timestamp_seconds')).map((line) => /"(.*)"/.exec(line)?.[1]);
    foresee(config('0 3 * * *'));
    expect(await triggers()).toEqual(['push']);
    runEnded(run(atFour));
    expect(await triggers()).toEqual(['push']);
    foresee(config('0 4 * * *'));
    expect(await triggers()).toEqual([atFour, 'push']);
  });
});
