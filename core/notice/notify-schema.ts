import * as v from 'valibot';
import { mapOf } from '../config/shape.ts';

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(2000));

/** A URL alone, or with the secret by which messages to it are signed. */
const signedUrl = v.union([text, mapOf({ url: text, secret: v.optional(text) })]);

const webhook = v.pipe(
  signedUrl,
  v.description('POSTs the notice as JSON, signed as Standard Webhooks (webhook-signature) where there is a secret.'),
);
const slack = v.pipe(text, v.description('URL of an incoming webhook of Slack, or of Mattermost or Rocket.Chat.'));
const teams = v.pipe(text, v.description('URL of a Teams workflow that posts Adaptive Cards.'));
const feishu = v.pipe(signedUrl, v.description('URL of a custom bot of Feishu or Lark, and its signing secret.'));
const dingtalk = v.pipe(signedUrl, v.description('URL of a custom robot of DingTalk, and its signing secret.'));
const mail = v.pipe(
  mapOf({
    server: v.pipe(
      text,
      v.description('smtps://user:password@host:465, or smtp:// (587, with STARTTLS where offered).'),
    ),
    from: text,
    to: v.pipe(v.union([text, v.pipe(v.array(text), v.minLength(1), v.maxLength(50))])),
  }),
  v.description('Mail by SMTP.'),
);

/** `notify:` of tranship.yaml: whom to tell of failures and recoveries, one message a run. */
export const notifySchema = v.pipe(
  v.array(
    v.pipe(
      mapOf({
        webhook: v.optional(webhook),
        slack: v.optional(slack),
        teams: v.optional(teams),
        feishu: v.optional(feishu),
        dingtalk: v.optional(dingtalk),
        mail: v.optional(mail),
      }),
      v.minEntries(1),
    ),
  ),
  v.maxLength(20),
  v.description(
    'Whom to tell of failures and recoveries, one message a run, on one machine. $VAR is replaced by the environment.',
  ),
);

export type NotifyEntry = v.InferOutput<typeof notifySchema>[number];
