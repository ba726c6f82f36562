import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import type { Flags } from '../args/flags.ts';
import type { Shell } from '../shell.ts';
import { createPaint, wantsColor } from './color.ts';
import { formatBytes, formatDuration, plural } from './format.ts';
import { createJsonView, formatJsonLine, runJson } from './json.ts';
import { eventLines } from './lines.ts';
import { clean } from './text.ts';

/** What a long-lived process tells, line by line. It keeps nothing. */
export interface ServeLog {
  emit: Emit;
  /** Something about the process itself. */
  say(message: string): void;
  runEnded(run: RunRecord): void;
}

/** JSON lines on stdout with `--json`; else time-stamped lines on stderr, with `--quiet` only what went wrong. */
export function createServeLog(flags: Flags, { env, stdout, stderr }: Shell): ServeLog {
  if (flags.json) {
    const view = createJsonView({ output: stdout, now: Date.now });
    return {
      emit: view.emit,
      say: (message) => stdout.write(formatJsonLine({ type: 'notice', at: new Date().toISOString(), message })),
      runEnded: (run) => stdout.write(formatJsonLine(runJson(run))),
    };
  }
  const paint = createPaint(wantsColor({ noColor: flags.noColor, env, isTTY: stderr.isTTY === true }));
  const write = (line: string) =>
    stderr.write(`${paint('dim', new Date().toISOString().replace(/\.\d+Z$/, 'Z'))} ${line}\n`);
  const say = (message: string) => {
    if (!flags.quiet) write(message);
  };
  return {
    say,
    emit(event) {
      const isBad =
        event.type === 'warning' ||
        event.type === 'rule-failed' ||
        (event.type === 'task-finished' && event.outcomes.some(({ failure }) => failure !== undefined));
      if (flags.quiet && !isBad) return;
      for (const line of eventLines(event, { paint, now: Date.now(), verbose: flags.verbose })) write(line);
    },
    runEnded({ trigger, counts, startedAt, endedAt = startedAt }) {
      const { copied, unchanged, failed, deferred, bytes } = counts;
      const parts = [`${copied} copied`, `${unchanged} in step`, `${failed} failed`, `${deferred} deferred`];
      say(
        `run of ${clean(trigger)}: ${plural(counts.planned, 'tag')}, ${parts.join(', ')}, ${formatBytes(bytes)} in ${formatDuration(endedAt - startedAt)}`,
      );
    },
  };
}
