import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pushImage } from '../testing/images.ts';
import type { EmbeddedRegistry } from '../testing/registry/server.ts';

const LONGEST_MS = 15_000;

/**
 * A tag is pushed while `tranship serve` runs, and announced as a CI job would.
 * @param start the command in `directory`, its stderr a pipe
 * @returns milliseconds from the announcement until the tag was at its destination
 */
export async function showPush(options: {
  source: EmbeddedRegistry;
  destination: EmbeddedRegistry;
  directory: string;
  start: (args: string[]) => ChildProcess;
}): Promise<number> {
  const { source, destination, directory } = options;
  const token = randomBytes(16).toString('hex');
  const senders = `ci: { dialect: plain, token: ${token}, allow: ["${source.host}"] }\n`;
  await writeFile(join(directory, 'webhooks.yaml'), senders);
  const serve = options.start(['serve', '--listen', '127.0.0.1:0']);
  const ended = once(serve, 'exit');
  let log = '';
  serve.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
    process.stderr.write(text);
  });
  try {
    await until(() => serve.exitCode !== null || log.includes('listening on'));
    const url = /listening on (http:\S+),/.exec(log)?.[1];
    const { digest } = await pushImage({ url: source.url, repository: 'shop/api' }, { seed: '1.3', tag: '1.3' });
    const announced = performance.now();
    await fetch(`${url}/hooks/ci/${token}`, {
      method: 'POST',
      body: JSON.stringify({ image: `${source.host}/shop/api:1.3@${digest}` }),
    });
    await until(() => destination.content.manifest('mirror/api', '1.3') !== undefined);
    return Math.round(performance.now() - announced);
  } finally {
    serve.kill('SIGTERM');
    await ended;
  }
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + LONGEST_MS;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error('the demonstration took too long');
    await sleep(2);
  }
}
