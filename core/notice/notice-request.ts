import { createHmac, randomUUID } from 'node:crypto';
import type { NotifyTarget } from '../model/notify-target.ts';
import type { Notice } from './notice.ts';
import { noticeText, noticeTitle } from './notice-text.ts';

/** A POST that tells a target of a notice. */
export interface NoticeRequest {
  url: URL;
  headers: Record<string, string>;
  body: string;
}

/** Bytes of a body that every chat takes: Feishu and DingTalk refuse messages over 20 kB, Teams over some 28 kB. */
const MAX_CHAT_BYTES = 18_000;
/** Problems of each kind in a webhook's document. */
const MAX_LISTED = 1000;

/**
 * The request that tells of a notice.
 * @param now epoch ms
 * @see https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
 * @see https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
 * @see https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
 * @see https://open.dingtalk.com/document/orgapp/custom-robots-send-group-messages
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function noticeRequest(
  target: Exclude<NotifyTarget, { kind: 'mail' }>,
  notice: Notice,
  now: number,
): NoticeRequest {
  const title = noticeTitle(notice);
  const chat = (url: URL, message: (text: string) => object): NoticeRequest => ({
    ...{ url, headers: { 'content-type': 'application/json' } },
    body: fitting(noticeText(notice), message),
  });
  switch (target.kind) {
    case 'slack':
      return chat(target.url, (text) => ({ text: escapeSlack(`*${title}*\n${text}`) }));
    case 'teams':
      return chat(target.url, (text) => teamsMessage(title, text));
    case 'feishu':
      return chat(target.url, (text) => ({
        ...feishuSignature(target.secret, now),
        msg_type: 'text',
        // Its text may hold tags, as <at>.
        content: { text: `${title}\n${text}`.replaceAll('<', '‹') },
      }));
    case 'dingtalk':
      return chat(dingtalkUrl(target.url, target.secret, now), (text) => ({
        msgtype: 'text',
        text: { content: `${title}\n${text}` },
      }));
    case 'webhook':
      return signed(target, JSON.stringify(noticeDocument(notice, title)), now);
  }
}

/** Why a message was not taken. `isFinal`: another try would end alike. */
export interface Refusal {
  why: string;
  isFinal: boolean;
}

/** Codes in an answer of 200 that say "later": too many messages, and a service that is busy. */
const passingCodes: ReadonlyArray<unknown> = [11232, 130101, -1];

/**
 * Whether an answer says that the message was taken. Feishu and DingTalk answer 200 to what they refuse, with the reason
 * in the body.
 * @returns undefined for a message that was taken
 * @see https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
 * @see https://open.dingtalk.com/document/orgapp/custom-bot-send-message-type
 */
export function refusalOf(kind: NotifyTarget['kind'], status: number, body: string): Refusal | undefined {
  if (status < 200 || status > 299) return { why: `status ${status}`, isFinal: status < 500 && status !== 429 };
  if (kind !== 'feishu' && kind !== 'dingtalk') return undefined;
  let answer: Record<string, unknown> = {};
  try {
    answer = Object(JSON.parse(body));
  } catch {
    return { why: 'the answer is not JSON', isFinal: true };
  }
  const code = answer.errcode ?? answer.code ?? answer.StatusCode ?? 0;
  if (code === 0) return undefined;
  const why = `code ${String(code)}: ${String(answer.errmsg ?? answer.msg ?? '').slice(0, 200)}`;
  return { why, isFinal: !passingCodes.includes(code) };
}

/** What a webhook is sent; docs/rules.md promises its fields. */
function noticeDocument({ run, fresh, lasting, recovered }: Notice, title: string) {
  const { id, trigger, startedAt, endedAt, state, counts } = run;
  const time = (at: number | undefined) => (at === undefined ? undefined : new Date(at).toISOString());
  return {
    type: 'tranship.run',
    title,
    run: { id, trigger, state, startedAt: time(startedAt), endedAt: time(endedAt), ...counts },
    fresh: fresh.slice(0, MAX_LISTED),
    lasting: lasting.slice(0, MAX_LISTED),
    recovered: recovered.slice(0, MAX_LISTED),
  };
}

/** Standard Webhooks: the secret may be written as `whsec_` and base64, else its bytes are the key. */
function signed({ url, secret }: { url: URL; secret: string | undefined }, body: string, now: number): NoticeRequest {
  const id = `msg_${randomUUID()}`;
  const timestamp = String(Math.floor(now / 1000));
  const headers = { 'content-type': 'application/json', 'webhook-id': id, 'webhook-timestamp': timestamp };
  if (secret === undefined) return { url, headers, body };
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { url, headers: { ...headers, 'webhook-signature': `v1,${signature}` }, body };
}

/** Feishu signs an empty message with the time and the secret as key. */
function feishuSignature(secret: string | undefined, now: number): { timestamp?: string; sign?: string } {
  if (secret === undefined) return {};
  const timestamp = String(Math.floor(now / 1000));
  return { timestamp, sign: createHmac('sha256', `${timestamp}\n${secret}`).update('').digest('base64') };
}

function dingtalkUrl(url: URL, secret: string | undefined, now: number): URL {
  if (secret === undefined) return url;
  const signedUrl = new URL(url);
  signedUrl.searchParams.set('timestamp', String(now));
  signedUrl.searchParams.set('sign', createHmac('sha256', secret).update(`${now}\n${secret}`).digest('base64'));
  return signedUrl;
}

function teamsMessage(title: string, text: string) {
  const block = (content: string, style: object) => ({ type: 'TextBlock', text: content, wrap: true, ...style });
  return {
    type: 'message',
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        content: {
          $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
          type: 'AdaptiveCard',
          version: '1.4',
          body: [
            block(title, { weight: 'Bolder' }),
            // A single line end is a blank to Markdown.
            ...text
              .split('\n')
              .filter(Boolean)
              .map((line) => block(escapeMarkdown(line), { spacing: 'None' })),
          ],
        },
      },
    ],
  };
}

/** https://docs.slack.dev/messaging/formatting-message-text#escaping */
function escapeSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_[\]#]/g, '\\$&');
}

/** The message as JSON, with as much of the text as its bytes allow: what each line costs differs by chat. */
function fitting(text: string, message: (text: string) => object): string {
  const bytes = Buffer.from(text);
  let body = JSON.stringify(message(text));
  for (let most = bytes.length; most > 0 && Buffer.byteLength(body) > MAX_CHAT_BYTES; ) {
    most = Math.floor(Math.min(most * 0.95, (most * MAX_CHAT_BYTES) / Buffer.byteLength(body)));
    // Half a character cannot be sent.
    const start = bytes
      .subarray(0, most)
      .toString('utf8')
      .replace(/\ufffd+$/, '');
    body = JSON.stringify(message(`${start}\n…`));
  }
  return body;
}
