import { describe, expect, it } from 'vitest';
import type { Notice } from '../../../core/notice/notice.ts';
import { noticeRequest, refusalOf } from '../../../core/notice/notice-request.ts';
import { loadRules } from '../../../core/rules/load-rules.ts';

const notice: Notice = {
  run: {
    id: 'r',
    trigger: 't',
    startedAt: 0,
    endedAt: 1000,
    state: 'done',
    ruleFailures: [],
    counts: { planned: 2, copied: 0, unchanged: 1, failed: 1, deferred: 0, deleted: 0, bytes: 0 },
  },
  fresh: [
    {
      name: 'a/b:1 -> c/d:1',
      failure: { class: 'permanent', code: 'denied', message: '<!channel> *no* <at user_id="all"></at>' },
    },
  ],
  lasting: [],
  recovered: [],
};
const at = 1_700_000_000_000;
const url = new URL('https://hooks.example.com/path?access_token=t');

describe('the request of a notice', () => {
  it('to Slack has text in which nothing is a mention', () => {
    const { body } = noticeRequest({ kind: 'slack', url }, notice, at);
    const { text } = JSON.parse(body);
    expect(text).toContain('*Tranship: 1 of 2 tags failed*\nRun r (t)');
    expect(text).toContain('&lt;!channel&gt;');
  });

  it('to Teams is an Adaptive Card', () => {
    const { type, attachments } = JSON.parse(noticeRequest({ kind: 'teams', url }, notice, at).body);
    expect([type, attachments[0].contentType]).toEqual(['message', 'application/vnd.microsoft.card.adaptive']);
    expect(attachments[0].content.body[0]).toMatchObject({ type: 'TextBlock', text: 'Tranship: 1 of 2 tags failed' });
    expect(JSON.stringify(attachments)).toContain('\\\\*no\\\\*');
  });

  it('to Feishu is signed by time and secret, and mentions nobody', () => {
    const { body } = noticeRequest({ kind: 'feishu', url, secret: 'this is secret' }, notice, at);
    // By Python's hmac, as in Feishu's documentation.
    expect(JSON.parse(body)).toMatchObject({ timestamp: '1700000000', sign: expect.any(String), msg_type: 'text' });
    expect(JSON.parse(body).sign).toBe('OfGzRzoUICBOoc8wVra1e4A1hPfbZ9zqXozA8CWVUuY=');
    expect(JSON.parse(body).content.text).not.toContain('<at');
    expect(JSON.parse(noticeRequest({ kind: 'feishu', url, secret: undefined }, notice, at).body).sign).toBeUndefined();
  });

  it('to DingTalk is signed in the URL', () => {
    const request = noticeRequest({ kind: 'dingtalk', url, secret: 'this is secret' }, notice, at);
    expect(Object.fromEntries(request.url.searchParams)).toEqual({
      access_token: 't',
      timestamp: String(at),
      sign: 'sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0=',
    });
    expect(JSON.parse(request.body)).toMatchObject({
      msgtype: 'text',
      text: { content: expect.stringContaining('1 of 2') },
    });
  });

  it.each(['slack', 'teams', 'feishu', 'dingtalk'] as const)('to %s is no longer than it takes', (kind) => {
    const target = { kind, url, secret: undefined };
    for (const message of ['"\\<'.repeat(170), '鏡'.repeat(500), 'x'.repeat(500)]) {
      const problem = (_: unknown, at: number) => ({
        name: `a.example/app:${at} -> b.example/app:${at}`,
        failure: { class: 'permanent', code: 'denied', message } as const,
      });
      const fresh = Array.from({ length: 25 }, problem);
      const { body } = noticeRequest(target, { ...notice, fresh, lasting: fresh, recovered: ['x'.repeat(300)] }, at);
      expect(Buffer.byteLength(body)).toBeLessThanOrEqual(18_000);
      expect(Buffer.byteLength(body)).toBeGreaterThan(12_000);
      expect(body).toContain('a.example/app:0');
      expect(body).not.toContain('\ufffd');
      expect(JSON.stringify(JSON.parse(body))).toBe(body);
    }
  });

  it('to a webhook is signed as Standard Webhooks', async () => {
    const secret = `whsec_${Buffer.from('0123456789abcdef').toString('base64')}`;
    const { headers, body } = noticeRequest({ kind: 'webhook', url, secret }, notice, at);
    expect(headers).toMatchObject({ 'webhook-timestamp': '1700000000', 'webhook-id': expect.stringMatching(/^msg_/) });
    const { createHmac } = await import('node:crypto');
    const signed = `${headers['webhook-id']}.1700000000.${body}`;
    const expected = createHmac('sha256', '0123456789abcdef').update(signed).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${expected}`);
    expect(JSON.parse(body)).toMatchObject({
      type: 'tranship.run',
      run: { id: 'r', failed: 1, endedAt: '1970-01-01T00:00:01.000Z' },
      fresh: [{ name: 'a/b:1 -> c/d:1' }],
    });
  });

  it.each([
    ['slack', 200, 'ok', undefined],
    ['slack', 404, 'no_service', { why: 'status 404', isFinal: true }],
    ['slack', 429, '', { why: 'status 429', isFinal: false }],
    ['slack', 503, '', { why: 'status 503', isFinal: false }],
    ['teams', 202, '', undefined],
    ['feishu', 200, '{"code":0,"msg":"success"}', undefined],
    ['feishu', 200, '{"code":19021,"msg":"sign match fail"}', { why: 'code 19021: sign match fail', isFinal: true }],
    [
      'feishu',
      200,
      '{"code":11232,"msg":"frequency limited"}',
      { why: 'code 11232: frequency limited', isFinal: false },
    ],
    [
      'dingtalk',
      200,
      '{"errcode":310000,"errmsg":"sign not match"}',
      { why: 'code 310000: sign not match', isFinal: true },
    ],
    [
      'dingtalk',
      200,
      '{"errcode":130101,"errmsg":"send too fast"}',
      { why: 'code 130101: send too fast', isFinal: false },
    ],
    ['dingtalk', 200, '{"errcode":-1,"errmsg":"busy"}', { why: 'code -1: busy', isFinal: false }],
    ['dingtalk', 200, '<html>', { why: 'the answer is not JSON', isFinal: true }],
  ] as const)('is taken or not: %s %d %s', (kind, status, body, refusal) => {
    expect(refusalOf(kind, status, body)).toEqual(refusal);
  });
});

describe('notify: in tranship.yaml', () => {
  const read = (notify: string, env: Record<string, string> = {}) =>
    loadRules(`version: 1\nrules: []\nnotify:\n${notify}`, { file: 'tranship.yaml', env, notify: 'read' }).notify;

  it('reads each kind, with variables', () => {
    const env = { HOOK: 'https://hooks.slack.com/x', KEY: 's' };
    expect(
      read(
        `  - slack: $HOOK
  - dingtalk: { url: "https://oapi.dingtalk.com/robot/send?access_token=1", secret: $KEY }
    feishu: https://open.feishu.cn/x
  - mail: { server: "smtps://me:p%40ss@smtp.example.com", from: a@example.com, to: b@example.com }
`,
        env,
      ),
    ).toEqual([
      { kind: 'slack', url: new URL(env.HOOK) },
      { kind: 'feishu', url: new URL('https://open.feishu.cn/x'), secret: undefined },
      { kind: 'dingtalk', url: new URL('https://oapi.dingtalk.com/robot/send?access_token=1'), secret: 's' },
      {
        kind: 'mail',
        server: new URL('smtps://me:p%40ss@smtp.example.com'),
        from: 'a@example.com',
        to: ['b@example.com'],
      },
    ]);
  });

  it.each([
    ['  - slack: $NONE\n', /tranship\.yaml:4:5: the environment variable NONE is not set/],
    ['  - slack: hooks.slack.com/secret\n', /tranship\.yaml:4:5: what slack says is not a URL/],
    ['  - pager: https://x\n', /pager/],
    ['  - mail: { server: https://x, from: a, to: b }\n', /smtp:\/\//],
    ['  - mail: { server: "smtps://me:50%secret@x", from: a, to: b }\n', /4:5: .*a % .*%25/],
    ['  - mail: { server: "smtps://me:12#secret@x", from: a, to: b }\n', /4:5: .*%23/],
    ['  - mail: { server: "smtps://me:1/secret@x", from: a, to: b }\n', /4:5: .*%2F/],
    ['  - mail: { server: "smtps://me:se#cret@x", from: a, to: b }\n', /4:5: .*%23/],
  ])('refuses %j at its place', (notify, message) => {
    expect(() => read(notify)).toThrow(message);
    expect(() => read(notify)).not.toThrow(/secret/);
  });

  it('is passed over by commands that tell nobody, and refused with a warning on AWS', () => {
    const text = 'version: 1\nrules: []\nnotify:\n  - slack: $NONE\n';
    expect(loadRules(text, { file: 'f', env: {} }).notify).toEqual([]);
    expect(loadRules(text, { file: 'f', env: {}, notify: 'refuse' }).warnings.join()).toMatch(
      /f:4:3: notify has no effect/,
    );
  });
});
