import { type Digest, formatTarget } from '../../core/model/reference.ts';
import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';

export interface BlobInFlight {
  digest: Digest;
  /** Repository of the source, without the registry. */
  repository: string;
  size: number;
  bytes: number;
  destinations: number;
}

/** How far a run is, from its events alone. Tags are destination tags. */
export interface Progress {
  planned: number;
  /** Finished tags by result, with those that planning found unchanged. */
  counts: Record<Outcome['result'], number>;
  /** When each task in hand started, epoch ms, by {@link taskKey}. */
  tasks: Map<string, number>;
  blobs: Map<number, BlobInFlight>;
  parks: Map<string, { until: number; reason: string }>;
  /** Bytes written to destinations. A byte that is written twice counts twice. */
  bytesMoved: number;
  bytesPerSecond: number;
  /** Milliseconds to the end at the pace so far; undefined while there is too little to judge by. */
  leftMs(now: number): number | undefined;
  done(): number;
  apply(event: PipelineEvent, now: number): void;
  /** Takes the next sample of the rate. Call it a few times a second. */
  sample(now: number): void;
}

/** What is this long ago has a third of its weight in the rate. */
const rateMemoryMs = 5000;
/** How many tasks must have finished before the pace means anything. */
const minFinishedTasks = 3;

/** The same text for all events of one task. */
export function taskKey(task: Extract<PipelineEvent, { type: 'task-started' }>['task']): string {
  return [task.source, ...task.destinations].map(formatTarget).join(' ');
}

export function createProgress(): Progress {
  const outcomes = new Map<string, Outcome['result']>();
  let firstStartAt: number | undefined;
  let finishedTasks = 0;
  let finishedTags = 0;
  let planned = 0;
  let sampledAt: number | undefined;
  let sampledBytes = 0;

  const progress: Progress = {
    get planned() {
      // A redrive plans nothing: it knows only what it works on.
      return Math.max(planned, progress.done());
    },
    counts: { copied: 0, deleted: 0, unchanged: 0, failed: 0, deferred: 0 },
    tasks: new Map(),
    blobs: new Map(),
    parks: new Map(),
    bytesMoved: 0,
    bytesPerSecond: 0,

    done() {
      const { copied, deleted, unchanged, failed, deferred } = progress.counts;
      return copied + deleted + unchanged + failed + deferred;
    },

    leftMs(now) {
      if (firstStartAt === undefined || finishedTasks < minFinishedTasks) return undefined;
      const left = progress.planned - progress.done();
      return left === 0 ? undefined : ((now - firstStartAt) / finishedTags) * left;
    },

    apply(event, now) {
      switch (event.type) {
        case 'rule-planned':
          planned += event.planned;
          progress.counts.unchanged += event.unchanged;
          break;
        case 'task-started':
          firstStartAt ??= now;
          progress.tasks.set(taskKey(event.task), now);
          break;
        case 'task-retrying':
          progress.tasks.delete(taskKey(event.task));
          break;
        case 'task-finished':
          progress.tasks.delete(taskKey(event.task));
          finishedTasks++;
          for (const outcome of event.outcomes) {
            const key = formatTarget(outcome.destination);
            const before = outcomes.get(key);
            if (before === undefined) finishedTags++;
            else progress.counts[before]--;
            outcomes.set(key, outcome.result);
            progress.counts[outcome.result]++;
          }
          break;
        case 'blob-started': {
          const { id, digest, size, source, destinations } = event;
          const repository = source.repository;
          progress.blobs.set(id, { digest, size, repository, bytes: 0, destinations: destinations.length });
          break;
        }
        case 'blob-progress': {
          const blob = progress.blobs.get(event.id);
          if (blob === undefined) break;
          // A blob that starts again counts again: its bytes cross the wire again.
          const more = event.bytes >= blob.bytes ? event.bytes - blob.bytes : event.bytes;
          progress.bytesMoved += more * blob.destinations;
          blob.bytes = event.bytes;
          break;
        }
        case 'blob-finished':
          progress.blobs.delete(event.id);
          break;
        case 'parked':
          progress.parks.set(event.registry, { until: event.until, reason: event.reason });
          break;
        case 'rule-failed':
        case 'tag-unchanged':
        case 'warning':
          break;
      }
    },

    sample(now) {
      if (sampledAt !== undefined && now > sampledAt) {
        const elapsedMs = now - sampledAt;
        const rate = ((progress.bytesMoved - sampledBytes) / elapsedMs) * 1000;
        const weight = 1 - Math.exp(-elapsedMs / rateMemoryMs);
        progress.bytesPerSecond += (rate - progress.bytesPerSecond) * weight;
        if (progress.bytesPerSecond < 1) progress.bytesPerSecond = 0;
      }
      sampledAt = now;
      sampledBytes = progress.bytesMoved;
      for (const [registry, { until }] of progress.parks) if (until <= now) progress.parks.delete(registry);
    },
  };
  return progress;
}
