import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Command, onPath } from './clients.ts';

const run = promisify(execFile);
const LIMIT_MS = 15 * 60_000;

/** What one process took, its children included. */
export interface Usage {
  wallS: number;
  /** User and system. */
  cpuS: number;
  peakRssMib: number;
}

/**
 * Runs a command under GNU time, which knows the resources of that process alone.
 * @throws where it fails, with what it said last
 */
export async function measure(command: Command, folder: string): Promise<Usage> {
  const time = onPath('time');
  if (time === undefined) throw new Error('GNU time is missing; on Debian or Ubuntu: apt-get install time');
  const file = join(folder, 'usage');
  const args = ['--format', '%U %S %M', '--output', file, command.program, ...command.args];
  const start = performance.now();
  try {
    await run(time, args, { env: command.env, cwd: folder, timeout: LIMIT_MS, maxBuffer: 256 * 2 ** 20 });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command.program} failed:\n${`${stdout}${stderr}`.slice(-2000)}`);
  }
  // GNU time knows it to the hundredth of a second only.
  const wallS = (performance.now() - start) / 1000;
  const [user, system, kib] = (await readFile(file, 'utf8')).trim().split(' ').map(Number);
  return { wallS, cpuS: (user ?? 0) + (system ?? 0), peakRssMib: (kib ?? 0) / 1024 };
}
