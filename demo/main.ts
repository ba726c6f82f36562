import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pushImage, pushMultiArch } from '../testing/images.ts';
import { startRegistry } from '../testing/registry/server.ts';
import { showPush } from './serve.ts';

/**
 * The main job on embedded parts: two throwaway registries on loopback, a few images in the first, and the command that
 * copies them to the second, twice, so that the second run has nothing to do; then a push while it serves. Nothing
 * stays behind.
 */
const command = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
const source = await startRegistry();
const destination = await startRegistry();
const directory = await mkdtemp(join(tmpdir(), 'tranship-demo-'));

try {
  const base = { seed: 'base', bytes: 2_000_000 };
  const app = { url: source.url, repository: 'shop/api' };
  for (const version of ['1.0', '1.1', '1.2']) {
    await pushImage(app, { seed: version, tag: version, layers: [base, { seed: version, bytes: 300_000 }] });
  }
  await pushMultiArch(
    { url: source.url, repository: 'shop/web' },
    { seed: 'web', tag: 'stable', platforms: ['linux/amd64', 'linux/arm64'], layers: [base] },
  );
  const images = `${source.host}/shop/api: ${destination.host}/mirror/api
${source.host}/shop/web:stable:
  - ${destination.host}/mirror/web
  - ${destination.host}/edge/web:current
`;
  const auth = `${source.host}: { insecure: true }\n${destination.host}: { insecure: true }\n`;
  await writeFile(join(directory, 'images.yaml'), images);
  await writeFile(join(directory, 'auth.yaml'), auth);

  say(`Two registries are up: ${source.host} has four images, ${destination.host} is empty.`);
  say('images.yaml says what goes where:');
  process.stdout.write(images.replace(/^/gm, '    ').trimEnd());
  say('\n\n$ tranship sync --auth auth.yaml --images images.yaml');
  const first = await run();
  say('\n$ tranship sync --auth auth.yaml --images images.yaml      # again: nothing has changed');
  const before = { source: source.requests.length, destination: destination.requests.length };
  const second = await run();
  say(
    `The second run asked the source ${source.requests.length - before.source} and the destination ${destination.requests.length - before.destination} questions, and moved nothing.`,
  );
  say('\n$ tranship serve      # from now on a tag is copied when somebody tells of its push');
  const tookMs = await showPush({ source, destination, directory, start: (args) => start(args, 'pipe') });
  say(`shop/api:1.3 was pushed, and was at its destination ${tookMs} ms after that was announced.`);
  say('\nWith registries of your own: npx tranship sync --auth auth.yaml --images images.yaml');
  process.exitCode = first || second;
} finally {
  await source.close();
  await destination.close();
  await rm(directory, { recursive: true, force: true });
}

async function run(): Promise<number> {
  const child = start(['sync', '--auth', 'auth.yaml', '--images', 'images.yaml'], 'inherit');
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

function start(args: string[], stderr: 'inherit' | 'pipe'): ChildProcess {
  const withState = [command, ...args, '--state', join(directory, 'state')];
  return spawn(process.execPath, withState, { cwd: directory, stdio: ['inherit', 'inherit', stderr] });
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
