import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { HURRY, Invoke, Message } from './runtime.ts';

export interface ProcessOptions {
  /** The file with the handler, and the handler's name in it. */
  file: string;
  handler: string;
  /** Where the bundle was unpacked: the working directory. */
  folder: string;
  /** The whole of the environment. */
  environment: Record<string, string>;
  memoryMb: number;
  onOutput(text: string): void;
}

export type Answer =
  | { ok: true; payload: string }
  /**
   * `type`: the thrown error's name, or `Runtime.ExitError` where the process went away, `Sandbox.Timedout` where it
   * was too slow.
   */
  | { ok: false; type: string; message: string };

/** One execution environment of a function: a process that answers one event at a time. */
export interface LambdaProcess {
  invoke(invoke: Omit<Invoke, 'deadline'>, timeoutMs: number): Promise<Answer>;
  /** Has the time of its invocation be nearly over now. */
  hurry(): void;
  /** False once the process is gone. */
  isAlive(): boolean;
  kill(): Promise<void>;
}

const runtime = fileURLToPath(new URL('./runtime.ts', import.meta.url));
/** Lambda gives the init phase 10 s; a busy machine that runs tests is slower than Lambda. */
const INIT_MS = 60_000;

/** Starts a process and loads the handler; an init that fails is told by the first invocation, as with Lambda. */
export async function startLambdaProcess(options: ProcessOptions): Promise<LambdaProcess> {
  const child = fork(runtime, [options.file, options.handler], {
    cwd: options.folder,
    env: options.environment,
    execArgv: [`--max-old-space-size=${options.memoryMb}`],
    serialization: 'json',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  child.stdout?.on('data', (chunk: Buffer) => options.onOutput(chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => options.onOutput(chunk.toString()));
  const ready = await nextMessage(child, INIT_MS);
  if (!('kind' in ready)) await kill(child);

  return {
    async invoke(invoke, timeoutMs) {
      if (!isAlive(child)) return { ok: false, type: 'Runtime.ExitError', message: 'the runtime went away' };
      const deadline = Date.now() + timeoutMs;
      const answered = nextMessage(child, timeoutMs);
      child.send({ ...invoke, deadline } satisfies Invoke, () => {});
      const message = await answered;
      if ('gone' in message) {
        await kill(child);
        return message.gone === 'slow'
          ? { ok: false, type: 'Sandbox.Timedout', message: `the task timed out after ${timeoutMs / 1000} seconds` }
          : { ok: false, type: 'Runtime.ExitError', message: 'the runtime went away' };
      }
      if (message.kind === 'error') return { ok: false, type: message.type, message: message.message };
      return { ok: true, payload: message.kind === 'result' ? message.payload : 'null' };
    },
    hurry: () => {
      child.send('hurry' satisfies typeof HURRY, () => {});
    },
    isAlive: () => isAlive(child),
    kill: () => kill(child),
  };
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null && child.connected;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** The next message of the process, or why there is none. */
function nextMessage(child: ChildProcess, timeoutMs: number): Promise<Message | { gone: 'exit' | 'slow' }> {
  return new Promise((resolve) => {
    const end = (message: Message | { gone: 'exit' | 'slow' }) => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      resolve(message);
    };
    const onMessage = (message: unknown) => end(message as Message);
    const onExit = () => end({ gone: 'exit' });
    const timer = setTimeout(() => end({ gone: 'slow' }), timeoutMs);
    child.on('message', onMessage);
    child.on('exit', onExit);
    if (child.exitCode !== null || child.signalCode !== null) onExit();
  });
}
