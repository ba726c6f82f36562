import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { deleteManifest } from '../../testing/push.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { openWorkplace, type Workplace } from '../support/command.ts';

describe('notify: after a sync', () => {
  let registry: EmbeddedRegistry;
  let place: Workplace;
  let chat: Server;
  let mailServer: SMTPServer;
  let chatUrl = '';
  const posts: Array<{ url: string; body: string }> = [];
  const mails: string[] = [];
  let statuses: number[] = [];

  const listen = async (server: { listen(port: number, host: string, done: () => void): unknown }) =>
    new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

  beforeAll(async () => {
    registry = await startRegistry();
    await pushImage({ url: registry.url, repository: 'team/app' }, { seed: '1', tag: '1' });
    chat = createServer(async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      posts.push({ url: request.url ?? '', body });
      response.writeHead(statuses.shift() ?? 200).end('ok');
    });
    mailServer = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      onData(stream, _session, done) {
        let text = '';
        stream.on('data', (part: Buffer) => {
          text += part;
        });
        stream.on('end', () => {
          mails.push(text);
          done();
        });
      },
    });
    await Promise.all([listen(chat), listen(mailServer)]);
    chatUrl = `http://127.0.0.1:${portOf(chat)}`;
  });
  afterAll(async () => {
    chat.close();
    await Promise.all([registry.close(), new Promise<void>((done) => mailServer.close(done))]);
  });
  beforeEach(() => {
    posts.length = 0;
    mails.length = 0;
    statuses = [];
    place = openWorkplace([registry.host]);
    return () => place.remove();
  });
  const writeRules = (...notify: string[]) =>
    place.write(
      'tranship.yaml',
      `version: 1\nrules:\n  - name: app\n    from: ${registry.host}/team/app\n    tags: ["1", "2"]\n    to: ${registry.host}/n/app\nnotify:\n${notify.map((line) => `  - ${line}\n`).join('')}`,
    );

  it('tells of a failure once, in chat and mail, and of the recovery', async () => {
    const mail = `mail: { server: "smtp://127.0.0.1:${portOf(mailServer.server)}", from: a@example.com, to: ops@example.com }`;
    writeRules('slack: $CHAT', mail);
    const env = { CHAT: `${chatUrl}/hook/secret` };
    const failed = await place.run(['sync'], env);
    expect(failed.code).toBe(1);
    expect(posts.map(({ url }) => url)).toEqual(['/hook/secret']);
    expect(JSON.parse(posts[0]!.body).text).toContain(`${registry.host}/team/app:2 -&gt; ${registry.host}/n/app:2`);
    expect(mails).toHaveLength(1);
    expect(mails[0]).toContain('Subject: Tranship: 1 of 2 tags failed');

    expect((await place.run(['sync'], env)).code).toBe(1);
    expect([posts.length, mails.length]).toEqual([1, 1]);

    const pushed = await pushImage({ url: registry.url, repository: 'team/app' }, { seed: '2', tag: '2' });
    expect((await place.run(['sync'], env)).code).toBe(0);
    await deleteManifest({ url: registry.url, repository: 'team/app' }, pushed.digest);
    expect(JSON.parse(posts[1]!.body).text).toContain('1 well again');
  });

  it('tries a chat again that is away for a moment; what it refuses is a warning without the URL', async () => {
    statuses = [503, 404];
    writeRules('slack: $CHAT', 'webhook: { url: $CHAT, secret: s }');
    const { code, stderr } = await place.run(['sync'], { CHAT: `${chatUrl}/hook/secret` });
    expect(code).toBe(1);
    expect(stderr).toMatch(/(slack|webhook) at 127\.0\.0\.1:\d+ could not be told of run \S+: status 404/);
    expect(stderr).not.toContain('secret');
    expect(posts).toHaveLength(3);
  });

  it('goes by the proxy of the environment', async () => {
    writeRules('slack: http://chat.example.com/hook');
    await place.run(['sync'], { HTTP_PROXY: chatUrl, NO_PROXY: registry.host });
    expect(posts.map(({ url }) => url)).toEqual(['http://chat.example.com/hook']);
  });
});
