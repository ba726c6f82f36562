import type { NoticeLedger } from '../../core/notice/notice.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { createEventsClient, reportRunEnd } from '../aws/events.ts';
import { createTopicClient, mailRunEnd } from '../aws/mail.ts';

const events = createEventsClient();
const topics = createTopicClient();

/**
 * Tells whoever wants to know that a run has ended: by an event, and by mail where there is a topic for that. Where one
 * of them is refused, the other one goes out.
 *
 * @param isRepeated an earlier try was cut off or refused. A bus that refuses for good has people mailed once, and not at
 * each of ten tries
 * @throws TranshipError the first refusal
 */
export async function reportRun(
  run: RunRecord,
  {
    bus,
    topicArn,
    ledger,
    isRepeated,
  }: {
    bus: string;
    topicArn: string | undefined;
    ledger: NoticeLedger;
    isRepeated: boolean;
  },
): Promise<void> {
  const told = await Promise.allSettled([reportRunEnd(events, bus, run)]);
  const isRefused = told[0].status === 'rejected';
  if (topicArn !== undefined && !(isRefused && isRepeated)) {
    told.push(...(await Promise.allSettled([mailRunEnd(topics, topicArn, run, ledger)])));
  }
  const refusal = told.find(({ status }) => status === 'rejected');
  if (refusal) throw (refusal as PromiseRejectedResult).reason;
}
