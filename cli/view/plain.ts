import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import { createPaint } from './color.ts';
import { formatBytes, formatCount, formatDuration, formatRemaining, plural } from './format.ts';
import { createEventLines } from './lines.ts';
import type { Output, View } from './output.ts';
import { createProgress, type Progress, taskKey } from './progress.ts';

const progressEveryMs = 10_000;
const sampleEveryMs = 1000;

/**
 * For pipes, CI and log files: one line with a UTC time for each finished tag and each other event worth a line, and
 * about every ten seconds one line of progress while there is work in hand.
 */
export function createPlainView(options: {
  output: Output;
  color: boolean;
  verbose: boolean;
  now: () => number;
}): View {
  const { output, verbose, now } = options;
  const paint = createPaint(options.color);
  const progress = createProgress();
  const eventLines = createEventLines();

  const write = (line: string, at: number, isOneOfMany = false) => {
    const text = `${paint('dim', new Date(at).toISOString().replace(/\.\d+Z$/, 'Z'))} ${line}\n`;
    if (isOneOfMany && output.writeSoon !== undefined) output.writeSoon(text);
    else output.write(text);
  };
  let lastProgressAt = now();
  const timer = setInterval(() => {
    const at = now();
    progress.sample(at);
    const isWorking = progress.tasks.size > 0 || progress.parks.size > 0;
    if (!isWorking || at - lastProgressAt < progressEveryMs) return;
    lastProgressAt = at;
    write(`${paint('cyan', 'progress ')} ${progressText(progress, at)}`, at);
  }, sampleEveryMs);
  timer.unref();

  return {
    emit(event: PipelineEvent) {
      const at = now();
      const startedAt = event.type === 'task-finished' ? progress.tasks.get(taskKey(event.task)) : undefined;
      progress.apply(event, at);
      const tookMs = startedAt === undefined ? undefined : at - startedAt;
      for (const line of eventLines(event, { paint, now: at, verbose, tookMs })) {
        write(line, at, event.type === 'task-finished');
      }
    },
    close() {
      clearInterval(timer);
    },
  };
}

/** `12 of 340 tags, 3 copying, 5 blobs, 1.2 GiB moved, 24.1 MiB/s, about 9 min left, docker.io parked for 4 min`. */
function progressText(progress: Progress, now: number): string {
  const leftMs = progress.leftMs(now);
  const parts = [
    `${formatCount(progress.done())} of ${plural(progress.planned, 'tag')}`,
    progress.counts.failed > 0 && `${formatCount(progress.counts.failed)} failed`,
    progress.counts.deferred > 0 && `${formatCount(progress.counts.deferred)} deferred`,
    progress.tasks.size > 0 && `${formatCount(progress.tasks.size)} in hand`,
    progress.blobs.size > 0 && plural(progress.blobs.size, 'blob'),
    `${formatBytes(progress.bytesMoved)} moved`,
    progress.bytesPerSecond > 0 && `${formatBytes(progress.bytesPerSecond)}/s`,
    leftMs !== undefined && `about ${formatRemaining(leftMs)} left`,
    ...[...progress.parks].map(([registry, { until }]) => `${registry} parked for ${formatDuration(until - now)}`),
  ];
  return parts.filter((part) => part !== false).join(', ');
}
