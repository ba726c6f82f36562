import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The command as it ships, built for this run of the tests (build-command.ts): from source it takes five times as long
 * to start.
 */
export const program =
  process.env.TRANSHIP_TEST_COMMAND ?? fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

/** How a command ended. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Variables besides those that a workplace sets; undefined takes one of these away. */
export type Environment = Record<string, string | undefined>;

/** File descriptors that a command writes to instead of what {@link Ended} collects. */
export interface Streams {
  stdout?: number;
  stderr?: number;
}

/** A directory of a user's: files, state, and the command run in it. */
export interface Workplace {
  directory: string;
  write(name: string, content: string): string;
  /** The command as a process of its own, with its state in this directory; ended after four minutes. */
  run(args: string[], env?: Environment, streams?: Streams): Promise<Ended>;
  start(args: string[], env?: Environment, streams?: Streams): { child: ChildProcess; ended: Promise<Ended> };
  remove(): void;
}

/** @param insecure hosts that are spoken to over plain http: they stand in `auth.yaml` */
export function openWorkplace(insecure: string[] = []): Workplace {
  const directory = mkdtempSync(join(tmpdir(), 'tranship-test-'));
  const write = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  if (insecure.length > 0) write('auth.yaml', insecure.map((host) => `${host}: { insecure: true }\n`).join(''));
  const start: Workplace['start'] = (args, env = {}, streams = {}) => {
    const child: ChildProcess = spawn(process.execPath, [program, ...args], {
      cwd: directory,
      env: { PATH: process.env.PATH, HOME: directory, TRANSHIP_STATE: join(directory, 'state'), ...env },
      stdio: ['ignore', streams.stdout ?? 'pipe', streams.stderr ?? 'pipe'],
      timeout: 240_000,
      killSignal: 'SIGKILL',
    });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        texts[name] += text;
      });
    }
    return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, ...texts })) };
  };
  return {
    directory,
    write,
    start,
    run: (...command) => start(...command).ended,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** The documents of `--json`. */
export function jsonLines(text: string): Array<Record<string, unknown>> {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
