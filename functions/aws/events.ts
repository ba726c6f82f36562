import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { TranshipError } from '../../core/model/errors.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { clientSettings } from './clients.ts';
import { awsError } from './errors.ts';

/** An entry of PutEvents holds 256 KB. A rule set can have thousands of broken rules. */
const MAX_RULE_FAILURES = 50;

export function createEventsClient(): EventBridgeClient {
  return new EventBridgeClient(clientSettings);
}

/**
 * Reports the end of a run to the event bus, for rules that notify people or start what comes next. The event has the
 * source `tranship`, the detail type `Run Ended`, and as its detail the run record with at most 50 rule failures
 * (`moreRuleFailures` counts the rest).
 *
 * @throws TranshipError when the bus does not take the event
 */
export async function reportRunEnd(client: EventBridgeClient, bus: string, run: RunRecord): Promise<void> {
  const operation = 'report the end of a run';
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
  const output = await client.send(command).catch((error) => {
    throw awsError(operation, error);
  });
  const [entry] = output.Entries ?? [];
  if (entry?.ErrorCode !== undefined) {
    throw new TranshipError(`${operation}: ${entry.ErrorCode}: ${entry.ErrorMessage}`, {
      class: 'transient',
      code: 'server-error',
      operation,
    });
  }
}
