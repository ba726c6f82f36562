import type { Failure } from '../model/errors.ts';
import { shorten } from '../model/shorten.ts';
import type { Notice, NoticedProblem } from './notice.ts';

/** Lines of each kind in one message: nobody reads more. */
const MAX_LINES = 25;
/** Characters of one reason; a registry's own message can be long. */
const MAX_REASON = 500;

/** The notice in one line: `2 of 36 tags failed, 1 is well again`. */
export function noticeTitle({ run, fresh, lasting, recovered }: Notice): string {
  const rules = run.ruleFailures.length;
  const { failed, deferred, planned } = run.counts;
  const parts = [
    ...(run.state === 'interrupted' ? ['the run was given up'] : []),
    ...(rules > 0 ? [`${count(rules, 'rule')} could not be read`] : []),
    ...(failed > 0 ? [`${failed} of ${count(planned, 'tag')} failed`] : []),
    ...(deferred > 0 ? [`${count(deferred, 'tag')} put off`] : []),
    ...(recovered.length > 0 ? [`${recovered.length} well again`] : []),
  ];
  const isOld = fresh.length === 0 && lasting.length > 0 && recovered.length === 0;
  return `Tranship: ${parts.join(', ')}${isOld ? ', as before' : ''}`;
}

/** The notice as plain text: the run in a line, what is new, what lasts, what is well again. */
export function noticeText({ run, fresh, lasting, recovered }: Notice): string {
  const { planned, copied, deleted, unchanged, failed, deferred } = run.counts;
  return [
    `Run ${run.id} (${run.trigger}): of ${count(planned, 'destination tag')} ${copied} were copied,${deleted > 0 ? ` ${deleted} deleted,` : ''} ${unchanged} were in step, ${failed} failed, ${deferred} were put off.`,
    ...section(lasting.length > 0 ? 'New:' : '', fresh.map(problemText), run.id),
    ...section('As before:', lasting.map(problemText), run.id),
    ...section('Well again:', recovered, run.id),
    '',
  ].join('\n');
}

function section(head: string, lines: string[], runId: string): string[] {
  if (lines.length === 0) return [];
  const more = lines.length - MAX_LINES;
  return [
    '',
    ...(head === '' ? [] : [head]),
    ...lines.slice(0, MAX_LINES),
    ...(more > 0 ? [`and ${more} more: tranship status ${runId}`] : []),
  ];
}

function problemText({ name, failure }: NoticedProblem): string {
  return `${name}\n    ${failure === undefined ? 'no reason is known' : reason(failure)}`;
}

function reason({ class: errorClass, code, message, mend }: Failure): string {
  const text = `${code} (${errorClass}): ${message}${mend ? `; ${mend}` : ''}`;
  // Half a character cannot be sent, and an earlier cut may have left one.
  return shorten(text, MAX_REASON).toWellFormed();
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
