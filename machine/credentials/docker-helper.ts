import { spawn } from 'node:child_process';
import type { Env } from '../../core/config/expand-env.ts';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { configurationError, type ErrorCode, TranshipError } from '../../core/model/errors.ts';

/** A token of a large identity provider is a few KiB. */
const maxOutputBytes = 256 * 1024;

/** What a helper says of a server. */
export type HelperAnswer =
  | { kind: 'login'; entry: AuthEntry }
  | { kind: 'none' }
  /** `why` ends a sentence about the program: "is not installed". */
  | { kind: 'missing'; why: string };

/**
 * Asks a Docker credential helper for a login: the server's name on stdin, JSON on stdout. What it prints is never
 * shown.
 *
 * @param name `ecr-login` for the program `docker-credential-ecr-login`, found by PATH and run without a shell
 * @throws TranshipError `config-invalid` where the name is none, `timeout`, or `unauthorized` where the helper fails;
 *   transient where there are too many files or processes to start it
 * @see https://github.com/docker/docker-credential-helpers README.md, "Development"
 */
export async function askHelper(
  name: string,
  server: string,
  options: { env: Env; timeoutMs: number },
): Promise<HelperAnswer> {
  const program = `docker-credential-${name}`;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$/.test(name)) {
    throw configurationError("the name of a credential helper in Docker's config file is not a program's name", {
      mend: 'write only what stands after docker-credential-',
    });
  }
  const { stdout, ...result } = await run(program, server, options);
  switch (result.kind) {
    case 'not started':
      if (['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'].includes(result.code)) {
        throw new TranshipError(`the credential helper ${program} cannot be started now (${result.code})`, {
          class: 'transient',
          code: 'unauthorized',
          registry: server,
          mend: 'raise the limit of open files or of processes (ulimit -n, ulimit -u)',
        });
      }
      return { kind: 'missing', why: result.code === 'ENOENT' ? 'is not installed' : `cannot be run (${result.code})` };
    case 'too slow':
      throw failed(program, server, `it was still running after ${options.timeoutMs / 1000} s`, 'timeout');
    case 'too long':
      throw failed(program, server, `its answer is longer than ${maxOutputBytes} bytes`);
    case 'killed':
      throw failed(program, server, `it was ended by ${result.signal}`);
    case 'ended':
      if (result.code === 0) return parseAnswer(program, server, stdout);
      // What a shell, or `env`, says where the program or its interpreter is not there.
      if (result.code === 126 || result.code === 127) return { kind: 'missing', why: 'cannot be run' };
      // docker-credential-helpers credentials/error.go: the helpers' way to say "none".
      if (/credentials not found|no credentials (server URL|username)/i.test(stdout)) return { kind: 'none' };
      throw failed(program, server, `it ended with ${result.code}`);
  }
}

type RunResult =
  | { kind: 'ended'; code: number }
  | { kind: 'killed'; signal: string }
  | { kind: 'not started'; code: string }
  | { kind: 'too slow' }
  | { kind: 'too long' };

/** What ends each helper that runs. */
const running = new Set<() => void>();

/**
 * Ends the helpers that nobody waits for any more. One that hangs would keep the process alive until its time is over.
 */
export function endHelpers(): void {
  for (const end of running) end();
}

function run(
  program: string,
  input: string,
  { env, timeoutMs }: { env: Env; timeoutMs: number },
): Promise<RunResult & { stdout: string }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const child = spawn(program, ['get'], { env, stdio: ['pipe', 'pipe', 'ignore'], windowsHide: true });
    const end = (result: RunResult) => {
      clearTimeout(timer);
      running.delete(stop);
      // Not only the helper: what it has started may hold the pipe, and us with it.
      child.kill('SIGKILL');
      child.stdout?.destroy();
      child.stdin?.destroy();
      resolve({ ...result, stdout: Buffer.concat(chunks).toString('utf8') });
    };
    const stop = () => end({ kind: 'killed', signal: 'SIGKILL' });
    running.add(stop);
    const timer = setTimeout(() => end({ kind: 'too slow' }), timeoutMs);
    child.once('error', (error: NodeJS.ErrnoException) =>
      end({ kind: 'not started', code: error.code ?? error.message }),
    );
    // Where files or processes are used up, there are no pipes.
    if (child.stdout === undefined || child.stdin === undefined) return;
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxOutputBytes) end({ kind: 'too long' });
    });
    child.once('close', (code, signal) => {
      end(code === null ? { kind: 'killed', signal: signal ?? 'a signal' } : { kind: 'ended', code });
    });
    // A helper that ends before it reads is judged by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(`${input}\n`);
  });
}

function parseAnswer(program: string, server: string, stdout: string): HelperAnswer {
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch {
    throw failed(program, server, 'its answer is not JSON');
  }
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw failed(program, server, 'its answer has no Username and Secret');
  }
  // Docker takes missing fields for empty ones, and empty ones for anonymous access.
  const { Username: username = '', Secret: secret = '' } = answer as { Username?: unknown; Secret?: unknown };
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw failed(program, server, 'its answer has no Username and Secret');
  }
  if (secret === '') return { kind: 'none' };
  return { kind: 'login', entry: username === '<token>' ? { identityToken: secret } : { username, password: secret } };
}

function failed(program: string, server: string, what: string, code: ErrorCode = 'unauthorized'): TranshipError {
  return new TranshipError(`the credential helper ${program} gave no login for ${server}: ${what}`, {
    class: 'permanent',
    code,
    registry: server,
    mend: `run "echo ${server} | ${program} get" to see why; or name an auth file with --auth`,
  });
}
