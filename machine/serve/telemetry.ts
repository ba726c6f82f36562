import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import type { LastRun } from '../state/last-runs.ts';
import { type Foreseeable, foresee } from './foreseen.ts';
import type { Delivery } from './hook-server.ts';
import { isSchedule, pushTrigger } from './triggers.ts';

/** Where values come from that are read when somebody asks for them. */
export interface TelemetryReaders {
  /** Messages of announced tags. */
  queued: () => number;
  /** Epoch ms by registry. */
  parks: () => Promise<Array<{ registry: string; until: number }>>;
  deadLetters: () => number;
  nextStarts: () => Array<[trigger: string, at: number]>;
}

export interface TelemetryOptions {
  version: string;
  read: TelemetryReaders;
  /** From before this process. */
  lastRuns: readonly LastRun[];
}

const latencyBounds = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600];
const durationBounds = [1, 10, 60, 300, 900, 3600, 14_400, 43_200];

/** What `/metrics` tells; docs/serve.md lists it. Label values come from files of the user's, so that there are few. */
export function createTelemetry({ version, read, lastRuns }: TelemetryOptions) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    collect?: (this: Gauge<Label>) => void | Promise<void>,
  ) => new Gauge({ name, help, labelNames, registers, collect });

  gauge('tranship_build_info', 'Always 1; the version is a label.', ['version', 'node']).set(
    { version, node: process.versions.node },
    1,
  );
  const deliveries = counter('tranship_deliveries_total', 'Requests to webhook URLs by sender and status.', [
    'source',
    'status',
  ]);
  const announcements = counter('tranship_announcements_total', 'Announced pushes by sender and what became of them.', [
    'source',
    'result',
  ]);
  const outcomes = counter(
    'tranship_outcomes_total',
    'Destination tags by what started the run, how they ended, and their registries.',
    ['trigger', 'result', 'source_registry', 'destination_registry'],
  );
  const bytes = counter('tranship_copied_bytes_total', 'Bytes moved to destinations.', [
    'trigger',
    'source_registry',
    'destination_registry',
  ]);
  const retries = counter('tranship_task_retries_total', 'Tasks that failed and are tried again.', ['trigger']);
  const ruleFailures = counter('tranship_rule_failures_total', 'Rules that could not be expanded.', ['trigger']);
  const skipped = counter('tranship_schedule_skipped_total', 'Starts left out: the last run was under way.', [
    'trigger',
  ]);
  const reloads = counter('tranship_reloads_total', 'Times that rules, senders and logins were read again.', [
    'result',
  ]);
  const runs = new Histogram({
    name: 'tranship_run_duration_seconds',
    help: 'Run times by what started them.',
    labelNames: ['trigger'],
    buckets: durationBounds,
    registers,
  });
  const latency = new Histogram({
    name: 'tranship_push_to_present_seconds',
    help: 'From an announcement to its tag at a destination.',
    buckets: latencyBounds,
    registers,
  });
  const last = new Map(lastRuns.map((run) => [run.trigger, run]));
  let schedules: string[] = [];
  /** Without the schedules of former files: nobody starts them any more, and an alert for them would not end. */
  const lastOfNow = () =>
    [...last.values()].filter(({ trigger }) => !isSchedule(trigger) || schedules.includes(trigger));
  gauge('tranship_last_run_end_timestamp_seconds', 'End of the last run by what started it.', ['trigger'], function () {
    this.reset();
    for (const { trigger, endedAt } of lastOfNow()) this.set({ trigger }, endedAt / 1000);
  });
  gauge(
    'tranship_last_success_timestamp_seconds',
    'End of the last run without a failure, by what started it; 0 for a schedule that had none; kept over restarts.',
    ['trigger'],
    function () {
      this.reset();
      for (const trigger of schedules) this.set({ trigger }, 0);
      for (const { trigger, succeededAt } of lastOfNow()) {
        if (succeededAt !== undefined) this.set({ trigger }, succeededAt / 1000);
      }
    },
  );
  gauge('tranship_next_run_timestamp_seconds', 'When a schedule starts next.', ['trigger'], function () {
    this.reset();
    for (const [trigger, at] of read.nextStarts()) this.set({ trigger }, at / 1000);
  });
  gauge('tranship_queue_messages', 'Announced tags that wait or are in hand.', [], function () {
    this.set(read.queued());
  });
  gauge('tranship_dead_letters', 'Tags given up, until they are tried again.', [], function () {
    this.set(read.deadLetters());
  });
  gauge(
    'tranship_parked_until_timestamp_seconds',
    'Registries that are left alone, and until when.',
    ['registry'],
    async function () {
      this.reset();
      for (const { registry: name, until } of await read.parks()) this.set({ registry: name }, until / 1000);
    },
  );

  for (const result of ['done', 'failed']) reloads.inc({ result }, 0);

  return {
    /** What is to be counted from now on, by the user's files. */
    foresee(config: Foreseeable): void {
      schedules = config.scheduled.map(({ trigger }) => trigger);
      const foreseen = foresee(config);
      for (const trigger of foreseen.triggers) {
        retries.inc({ trigger }, 0);
        ruleFailures.inc({ trigger }, 0);
      }
      for (const trigger of schedules) skipped.inc({ trigger }, 0);
      for (const labels of foreseen.outcomes) outcomes.inc(labels, 0);
      for (const labels of foreseen.moves) bytes.inc(labels, 0);
      for (const labels of foreseen.deliveries) deliveries.inc(labels, 0);
      for (const labels of foreseen.announcements) announcements.inc(labels, 0);
    },
    async render(): Promise<{ contentType: string; text: string }> {
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
    delivered({ sender: source = 'unknown', status, results, ignored }: Delivery): void {
      deliveries.inc({ source, status: String(status) });
      for (const { fate } of results) {
        if (fate === 'queued' || fate === 'merged') announcements.inc({ source, result: fate });
      }
      for (const { reason } of ignored) announcements.inc({ source, result: reason });
    },
    skipped: (trigger: string) => skipped.inc({ trigger }),
    reloaded: (result: 'done' | 'failed') => reloads.inc({ result }),
    runEnded(run: RunRecord): void {
      const { trigger, startedAt, endedAt = startedAt, counts, ruleFailures: failures, state } = run;
      const isWhole = state === 'done' && counts.failed + counts.deferred + failures.length === 0;
      last.set(trigger, { trigger, endedAt, succeededAt: isWhole ? endedAt : last.get(trigger)?.succeededAt });
      // The times between an hour's pushes are not work.
      if (trigger !== pushTrigger) runs.observe({ trigger }, Math.max(0, endedAt - startedAt) / 1000);
    },
    /** Counts the events of a trigger's runs on their way. */
    counting:
      (trigger: string, next: Emit): Emit =>
      (event) => {
        if (event.type === 'task-finished') {
          for (const { source, destination, result, bytes: moved, failure, at } of event.outcomes) {
            const registries = { source_registry: source.registry, destination_registry: destination.registry };
            outcomes.inc({ trigger, result, ...registries });
            if (moved > 0) bytes.inc({ trigger, ...registries }, moved);
            if (trigger === pushTrigger && failure === undefined) {
              latency.observe(Math.max(0, at - event.task.plannedAt) / 1000);
            }
          }
        } else if (event.type === 'tag-unchanged') {
          outcomes.inc({
            trigger,
            result: 'unchanged',
            source_registry: event.source.registry,
            destination_registry: event.destination.registry,
          });
        } else if (event.type === 'task-retrying') {
          retries.inc({ trigger });
        } else if (event.type === 'rule-failed') {
          ruleFailures.inc({ trigger });
        }
        next(event);
      },
  };
}

export type Telemetry = ReturnType<typeof createTelemetry>;
