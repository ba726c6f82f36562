import { type EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { TranshipError } from '../../core/model/errors.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { fromAws } from './errors.ts';

/** An entry of PutEvents holds 256 KB at least; a rule set may have thousands of broken rules. */
const MAX_RULE_FAILURES = 50;

/**
 * Tells the event bus that a run has ended, for rules that notify people or start what comes after: source `tranship`,
 * detail type `Run Ended`, and as detail the run record with at most 50 rule failures (`moreRuleFailures` counts the rest).
 *
 * @throws TranshipError where the bus did not take it
 */
export async function announceRunEnd(client: EventBridgeClient, bus: string, run: RunRecord): Promise<void> {
  const operation = 'announce the end of a run';
  const ruleFailures = run.ruleFailures.slice(0, MAX_RULE_FAILURES);
  const moreRuleFailures = run.ruleFailures.length - ruleFailures.length;
  const command = new PutEventsCommand({
    Entries: [
      {
        EventBusName: bus,
        Source: 'tranship',
        DetailType: 'Run Ended',
        Detail: JSON.stringify({ ...run, ruleFailures, moreRuleFailures }),
      },
    ],
  });
  const answer = await client.send(command).catch((error) => {
    throw fromAws(operation, error);
  });
  const [entry] = answer.Entries ?? [];
  if (entry?.ErrorCode !== undefined) {
    throw new TranshipError(`${operation}: ${entry.ErrorCode}: ${entry.ErrorMessage}`, {
      class: 'transient',
      code: 'server-error',
      operation,
    });
  }
}
