import { explainIgnored } from '../../core/announce/announcement.ts';
import { formatAnnouncement } from '../../core/announce/filter.ts';
import { isStored } from '../../core/announce/intake.ts';
import { TranshipError, toFailure } from '../../core/model/errors.ts';
import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { steadyNow } from '../../machine/serve/clock.ts';
import type { Delivery } from '../../machine/serve/hook-server.ts';
import type { ServerEvent } from '../../machine/serve/server.ts';
import { pushTrigger } from '../../machine/serve/triggers.ts';
import type { Flags } from '../args/flags.ts';
import type { Shell } from '../shell.ts';
import { createPaint, wantsColor } from './color.ts';
import { formatBytes, formatDuration, plural } from './format.ts';
import { createJsonView, formatJsonLine, type JsonLine, runJson } from './json.ts';
import { createEventLines } from './lines.ts';
import { createDeliveryLines } from './serve-deliveries.ts';
import { clean } from './text.ts';

/** Tells what a long-lived process does, line by line. */
export type ServeLog = (event: ServerEvent) => void;

/** JSON lines on stdout with `--json`; else time-stamped lines on stderr, with `--quiet` only what went wrong. */
export function createServeLog(flags: Flags, shell: Shell): ServeLog {
  return flags.json ? jsonLog(flags, shell) : textLog(flags, shell);
}

function textLog(flags: Flags, { env, stderr }: Shell): ServeLog {
  const paint = createPaint(wantsColor({ noColor: flags.noColor, env, isTTY: stderr.isTTY === true }));
  const eventLines = createEventLines();
  const deliveries = createDeliveryLines({ verbose: flags.verbose, now: steadyNow });
  const write = (line: string) =>
    stderr.write(`${paint('dim', new Date().toISOString().replace(/\.\d+Z$/, 'Z'))} ${line}\n`);
  const say = (message: string) => {
    if (!flags.quiet) write(message);
  };
  const emit = (event: PipelineEvent): void => {
    if (flags.quiet && !isBad(event)) return;
    for (const line of eventLines(event, { paint, now: Date.now(), verbose: flags.verbose })) write(line);
  };
  return (event) => {
    switch (event.type) {
      case 'pipeline':
        return emit(event.event);
      case 'delivered':
        for (const { isWarning, message } of deliveries.lines(event.delivery)) {
          if (isWarning) emit({ type: 'warning', message });
          else say(message);
        }
        return;
      case 'reload-failed':
        return emit({ type: 'warning', message: sayOf(event) });
      case 'run-ended':
        // One of pushes is an hour's: it ends after each of them and begins again with the next.
        if (event.run.trigger !== pushTrigger) say(runLine(event.run));
        return;
      default:
        say(sayOf(event));
    }
  };
}

function jsonLog(flags: Flags, { stdout }: Shell): ServeLog {
  const view = createJsonView({ output: stdout, now: Date.now });
  const deliveries = createDeliveryLines({ verbose: flags.verbose, now: steadyNow });
  const write = (line: JsonLine) => stdout.write(formatJsonLine(line));
  const at = () => new Date().toISOString();
  return (event) => {
    switch (event.type) {
      case 'pipeline':
        return view.emit(event.event);
      case 'delivered': {
        for (const line of fateJson(event.delivery, at())) write(line);
        const { sender, status } = event.delivery;
        // Of what has no fate, as often as in text: anybody can have himself refused.
        for (const { isWarning, message } of deliveries.lines(event.delivery)) {
          if (isWarning) write({ type: 'warning', at: at(), message, sender, status });
        }
        return;
      }
      case 'reload-failed':
        return view.emit({ type: 'warning', message: sayOf(event) });
      case 'run-ended':
        if (event.run.trigger !== pushTrigger) write(runJson(event.run));
        return;
      default:
        write({ type: 'notice', at: at(), message: sayOf(event) });
    }
  };
}

/** A line for each event of a delivery, with what became of it. */
function* fateJson({ sender, status, results, ignored }: Delivery, at: string): Generator<JsonLine> {
  for (const { announcement, fate } of results) {
    if (!isStored(fate)) continue;
    yield { type: 'push-event', at, sender, status, result: fate, what: formatAnnouncement(announcement) };
  }
  for (const one of ignored) {
    const { reason, what, mend } = one;
    yield { type: 'push-event', at, sender, status, result: reason, what, why: explainIgnored(one), mend };
  }
}

function sayOf(event: Exclude<ServerEvent, { type: 'pipeline' | 'delivered' | 'run-ended' }>): string {
  switch (event.type) {
    case 'notice':
      return event.message;
    case 'listening': {
      const admin = event.adminUrl === undefined ? '' : ` and for health and metrics on ${event.adminUrl}`;
      return `listening on ${event.url}${admin}, ${counts(event)}`;
    }
    case 'scheduled':
      return `${event.trigger}: next at ${new Date(event.at).toISOString()}`;
    case 'reloaded':
      return `read the files again: ${plural(event.rules, 'rule')}, ${counts(event)}`;
    case 'reload-failed': {
      const { error } = event;
      const mend = error instanceof TranshipError && error.mend !== undefined ? ` ${error.mend}` : '';
      const [first, ...more] = toFailure(error).message.split('\n');
      const why = more.length === 0 ? first : `${first}: ${more.join('; ')}`;
      return `the files were read again and cannot be used, the old settings stay: ${why}${mend}`;
    }
  }
}

function counts({ senders, schedules }: { senders: number; schedules: number }): string {
  return `${plural(senders, 'sender')}, ${plural(schedules, 'schedule')}`;
}

function isBad(event: PipelineEvent): boolean {
  if (event.type === 'task-finished') return event.outcomes.some(({ failure }) => failure !== undefined);
  return event.type === 'warning' || event.type === 'rule-failed';
}

function runLine({ trigger, counts: count, startedAt, endedAt = startedAt }: RunRecord): string {
  const { copied, deleted, unchanged, failed, deferred, bytes } = count;
  const gone = deleted > 0 ? [`${deleted} deleted`] : [];
  const parts = [`${copied} copied`, ...gone, `${unchanged} in step`, `${failed} failed`, `${deferred} deferred`];
  return `run of ${clean(trigger)}: ${plural(count.planned, 'tag')}, ${parts.join(', ')}, ${formatBytes(bytes)} in ${formatDuration(endedAt - startedAt)}`;
}
