import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import type { Answered } from './endpoint.ts';
import type { Fate } from './inbox.ts';
import { createMetrics } from './metrics.ts';

export interface TelemetrySources {
  /** Messages of announced tags. */
  queued: () => number;
  /** Epoch ms by registry. */
  parks: () => Array<{ registry: string; until: number }>;
  deadLetters: () => number;
  nextStarts: () => Array<[trigger: string, at: number]>;
}

const latencyBounds = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600] as const;
const durationBounds = [1, 10, 60, 300, 900, 3600, 14_400, 43_200] as const;

/** What `/metrics` tells; docs/serve.md lists it. */
export function createTelemetry(read: TelemetrySources) {
  const metrics = createMetrics();
  const startedAt = Date.now();
  const deliveries = metrics.counter('tranship_deliveries_total', 'Requests to webhook URLs by source and status.');
  const announcements = metrics.counter(
    'tranship_announcements_total',
    'Announced pushes by source and what became of them.',
  );
  const outcomes = metrics.counter(
    'tranship_outcomes_total',
    'Destination tags by what started the run and how they ended.',
  );
  const bytes = metrics.counter('tranship_copied_bytes_total', 'Bytes moved to destinations.');
  const retries = metrics.counter('tranship_task_retries_total', 'Tasks that failed and are tried again.');
  const ruleFailures = metrics.counter('tranship_rule_failures_total', 'Rules that could not be expanded.');
  const runs = metrics.histogram('tranship_run_duration_seconds', 'Run times by what started them.', durationBounds);
  const latency = metrics.histogram(
    'tranship_push_to_present_seconds',
    'From an announcement to its tag at a destination.',
    latencyBounds,
  );
  const skipped = metrics.counter('tranship_schedule_skipped_total', 'Starts left out: the last run was under way.');
  const lastRuns = new Map<string, number>();
  metrics.gauge('tranship_last_run_end_timestamp_seconds', 'End of the last run by what started it.', () =>
    [...lastRuns].map(([trigger, at]) => [{ trigger }, at / 1000]),
  );
  metrics.gauge('tranship_next_run_timestamp_seconds', 'When a schedule starts next.', () =>
    read.nextStarts().map(([trigger, at]) => [{ trigger }, at / 1000]),
  );
  metrics.gauge('tranship_queue_messages', 'Announced tags that wait or are in hand.', () => [[{}, read.queued()]]);
  metrics.gauge('tranship_dead_letters', 'Tags given up, until they are tried again.', () => [
    [{}, read.deadLetters()],
  ]);
  metrics.gauge('tranship_parked_until_timestamp_seconds', 'Registries that are left alone, and until when.', () =>
    read.parks().map(({ registry, until }) => [{ registry }, until / 1000]),
  );
  metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () => [[{}, process.memoryUsage.rss()]]);
  metrics.gauge('process_start_time_seconds', 'When the process started.', () => [[{}, startedAt / 1000]]);

  return {
    render: metrics.render,
    answered({ source = 'unknown', status, receipt }: Answered): void {
      deliveries({ source, status: String(status) });
      for (const { reason } of receipt?.ignored ?? []) announcements({ source, result: reason });
    },
    announced: (source: string, fate: Fate) => announcements({ source, result: fate }),
    skipped: (trigger: string) => skipped({ trigger }),
    runEnded({ trigger, startedAt: from, endedAt = from }: RunRecord): void {
      lastRuns.set(trigger, endedAt);
      // The times between an hour's pushes are not work.
      if (trigger !== pushTrigger) runs({ trigger }, (endedAt - from) / 1000);
    },
    /** Counts the events of a trigger's runs on their way. */
    counting:
      (trigger: string, next: Emit): Emit =>
      (event) => {
        if (event.type === 'task-finished') {
          for (const outcome of event.outcomes) {
            outcomes({ trigger, result: outcome.result });
            if (outcome.bytes > 0) bytes({ trigger }, outcome.bytes);
            if (trigger === pushTrigger && outcome.failure === undefined) {
              latency({}, (outcome.at - event.task.plannedAt) / 1000);
            }
          }
        } else if (event.type === 'rule-planned' && event.unchanged > 0) {
          outcomes({ trigger, result: 'unchanged' }, event.unchanged);
        } else if (event.type === 'task-retrying') {
          retries({ trigger });
        } else if (event.type === 'rule-failed') {
          ruleFailures({ trigger });
        }
        next(event);
      },
  };
}

export type Telemetry = ReturnType<typeof createTelemetry>;

/** What the runs of announced tags say started them. */
export const pushTrigger = 'push';
