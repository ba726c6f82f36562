import { PublishCommand, type SNSClient } from '@aws-sdk/client-sns';
import type { Failure } from '../../core/model/errors.ts';
import { formatTarget } from '../../core/model/reference.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { awsError } from './errors.ts';

/** Failed tags and rules in one mail. An SNS message holds 256 KB, and nobody reads more than this. */
const MAX_LINES = 50;
/** Characters of one reason; a registry's own message can be long. */
const MAX_REASON = 500;

/**
 * Mails what failed in a run, and why, to the subscribers of a topic. Sends nothing when all is well.
 * @throws TranshipError when the topic does not take it
 */
export async function mailRunEnd(
  client: SNSClient,
  topicArn: string,
  run: RunRecord,
  ledger: Pick<Ledger, 'readOutcomes'>,
): Promise<void> {
  if (run.counts.failed + run.counts.deferred + run.ruleFailures.length === 0 && run.state === 'done') return;
  const outcomes = await readFailed(ledger, run.id);
  const command = new PublishCommand({ TopicArn: topicArn, Subject: subjectOf(run), Message: textOf(run, outcomes) });
  await client.send(command).catch((error) => {
    throw awsError('mail the end of a run', error);
  });
}

async function readFailed(ledger: Pick<Ledger, 'readOutcomes'>, runId: string): Promise<Outcome[]> {
  const failed: Outcome[] = [];
  for await (const page of ledger.readOutcomes(runId, ['failed', 'deferred'])) {
    failed.push(...page);
    if (failed.length >= MAX_LINES) break;
  }
  return failed.slice(0, MAX_LINES);
}

/** SNS takes ASCII without line breaks, under 100 characters (Publish, "Subject"). */
function subjectOf({ id, state, counts, ruleFailures }: RunRecord): string {
  const what = state === 'done' ? `${counts.failed} tags and ${ruleFailures.length} rules failed` : 'was given up';
  return `Tranship: ${what}, run ${id}`.replace(/[^\x20-\x7e]/g, '?').slice(0, 99);
}

function textOf({ id, counts, ruleFailures }: RunRecord, outcomes: Outcome[]): string {
  const { planned, copied, deleted, unchanged, failed, deferred } = counts;
  const rules = ruleFailures.slice(0, MAX_LINES).map(({ ruleId, failure }) => `rule ${ruleId}\n    ${reason(failure)}`);
  const tags = outcomes.map(
    ({ source, destination, failure }) =>
      `${formatTarget(source)} -> ${formatTarget(destination)}\n    ${failure ? reason(failure) : 'no reason is known'}`,
  );
  const more = ruleFailures.length - rules.length + failed + deferred - tags.length;
  return [
    `Run ${id}: of ${planned} destination tags ${copied} were copied,${deleted > 0 ? ` ${deleted} deleted,` : ''} ${unchanged} were in step, ${failed} failed, ${deferred} were put off.`,
    '',
    ...rules,
    ...tags,
    ...(more > 0 ? [`and ${more} more: tranship status ${id}`] : []),
    '',
  ].join('\n');
}

function reason({ class: errorClass, code, message, mend }: Failure): string {
  const text = `${code} (${errorClass}): ${message}${mend ? `; ${mend}` : ''}`;
  return text.length > MAX_REASON ? `${text.slice(0, MAX_REASON)}…` : text;
}
