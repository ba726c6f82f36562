import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Outcome } from '../../../core/pipeline/ports/runs.ts';
import { createNotifier } from '../../../machine/notify/notifier.ts';
import { openState, type State } from '../../../machine/state/state.ts';
import { openWeb } from '../../../machine/web.ts';
import { temporaryState } from '../../support/state.ts';

const start = Date.UTC(2026, 10, 26, 3);

describe('whoever missed a notice', () => {
  const directories = temporaryState();
  let chat: Server;
  let state: State;
  let refused: string[];
  let posts: Array<{ url: string; text: string }>;
  const warnings: string[] = [];

  beforeAll(async () => {
    chat = createServer(async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      const { url = '' } = request;
      // Not worth another try.
      if (refused.includes(url)) return void response.writeHead(404).end();
      posts.push({ url, text: JSON.parse(body).text });
      response.writeHead(200).end('ok');
    });
    await new Promise<void>((done) => chat.listen(0, '127.0.0.1', done));
  });
  afterAll(() => new Promise((done) => chat.close(done)));
  beforeEach(() => {
    state = openState(directories.directory());
    refused = [];
    posts = [];
    return () => {
      state.close();
      directories.clean();
    };
  });

  function open() {
    const { port } = chat.address() as AddressInfo;
    const targetAt = (path: string) => ({ kind: 'slack', url: new URL(`http://127.0.0.1:${port}${path}`) }) as const;
    const notifier = createNotifier({
      targets: () => [targetAt('/up'), targetAt('/down')],
      ledger: state.ledger,
      web: { ...openWeb('test', () => {}), env: {} },
      warn: (message) => warnings.push(message),
    });
    /** A run of an hour later, in which this tag fails, or this one is well. */
    let hours = 0;
    return async (trigger: string, failed: string[], well: string[] = []) => {
      hours += 1;
      const at = start + hours * 60_000;
      const id = `run-${hours}`;
      await state.ledger.startRun({ id, trigger, startedAt: at, ...(trigger !== 'redrive' && { rules: 1 }) });
      await state.ledger.recordPage({ runId: id, ruleId: 'app', after: '', planned: 2, unchanged: 0 });
      for (const tag of [...failed, ...well]) {
        const outcome: Outcome = {
          ...{ runId: id, ruleId: 'app', bytes: 0, mounted: 0, present: 0, at },
          source: { registry: 'a.example', repository: 'app', tag },
          destination: { registry: 'b.example', repository: 'app', tag },
          ...(failed.includes(tag)
            ? { result: 'failed', failure: { class: 'permanent', code: 'denied', message: 'no' } }
            : { result: 'copied' }),
        };
        await state.ledger.recordOutcome(outcome);
      }
      await state.ledger.endRun(id, 'done', at + 1);
      const run = await state.ledger.readRun(id);
      if (run !== undefined) notifier.runEnded(run);
      posts.length = 0;
      await notifier.settled(60_000);
      return posts.map(({ url, text }) => `${url} ${/Tranship: ([^*]*)/.exec(text)?.[1]}`).sort();
    };
  }

  it('is told with the next run, and the others are not told twice', async () => {
    const run = open();
    refused = ['/down'];
    expect(await run('nightly', ['1'])).toEqual(['/up 1 of 2 tags failed']);
    expect(warnings.join()).toContain('could not be told of run');
    refused = [];
    expect(await run('nightly', ['1'])).toEqual(['/down 1 of 2 tags failed']);
    expect(await run('nightly', ['1'])).toEqual([]);
    expect(await run('nightly', [], ['1'])).toEqual(['/down 1 well again', '/up 1 well again']);
  });

  it('is told nothing of what is over meanwhile', async () => {
    const run = open();
    refused = ['/down'];
    await run('nightly', ['1']);
    refused = [];
    expect(await run('nightly', [], ['1'])).toEqual(['/up 1 well again']);
  });

  it('hears of second chances once', async () => {
    const run = open();
    await run('nightly', ['1', '2']);
    expect(await run('redrive', ['1'], ['2'])).toEqual([
      '/down 1 of 2 tags failed, 1 well again',
      '/up 1 of 2 tags failed, 1 well again',
    ]);
    expect(await run('redrive', ['1'])).toEqual([]);
    expect(await run('nightly', ['1'])).toEqual([]);
    expect(await run('nightly', [])).toEqual(['/down 1 well again', '/up 1 well again']);
  });
});
