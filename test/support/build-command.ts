import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCommand, buildPage } from '../../build.ts';

/** Builds the command and its page once for all tests that start it as a process, and tells them where it is. */
export default async function setup(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'tranship-command-'));
  await buildCommand(directory);
  await buildPage(join(directory, 'ui'));
  process.env.TRANSHIP_TEST_COMMAND = join(directory, 'main.cjs');
  process.env.NODE_COMPILE_CACHE = join(directory, 'cache');
  // A process that a test has killed may still be writing its cache.
  return () => rm(directory, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
}
