import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { type NoticeLedger, noticeOf } from '../../core/notice/notice.ts';
import { noticeText, noticeTitle } from '../../core/notice/notice-text.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { clientSettings } from './clients.ts';
import { awsError } from './errors.ts';

export function createTopicClient(): SNSClient {
  return new SNSClient(clientSettings);
}

/**
 * Mails what failed in a run and why, and what is well again, to the subscribers of a topic. Sends nothing where there
 * is nothing new.
 * @throws TranshipError when the topic does not take it
 */
export async function mailRunEnd(
  client: SNSClient,
  topicArn: string,
  run: RunRecord,
  ledger: NoticeLedger,
): Promise<void> {
  const { notice } = await noticeOf(ledger, run);
  if (notice === undefined) return;
  const command = new PublishCommand({
    TopicArn: topicArn,
    Subject: subjectOf(noticeTitle(notice)),
    Message: noticeText(notice),
  });
  await client.send(command).catch((error) => {
    throw awsError('mail the end of a run', error);
  });
}

/** SNS takes ASCII without line breaks, under 100 characters (Publish, "Subject"). */
function subjectOf(title: string): string {
  return title.replace(/[^\x20-\x7e]/g, '?').slice(0, 99);
}
