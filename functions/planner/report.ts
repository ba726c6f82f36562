import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { createEventsClient, reportRunEnd } from '../aws/events.ts';
import { createTopicClient, mailRunEnd } from '../aws/mail.ts';

const events = createEventsClient();
const topics = createTopicClient();

/** Tells whoever wants to know that a run has ended: by an event, and by mail where there is a topic for that. */
export async function reportRun(
  run: RunRecord,
  {
    bus,
    topicArn,
    ledger,
  }: { bus: string; topicArn: string | undefined; ledger: Pick<Ledger, 'listRuns' | 'readOutcomes'> },
): Promise<void> {
  await reportRunEnd(events, bus, run);
  if (topicArn !== undefined) await mailRunEnd(topics, topicArn, run, ledger);
}
