import { execFile } from 'node:child_process';
import type { Env } from '../../core/config/expand-env.ts';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { configurationError, TranshipError } from '../../core/model/errors.ts';

/** A token of a large identity provider is a few KiB. */
const maxOutputBytes = 256 * 1024;

/**
 * Asks a Docker credential helper for a login: the server's name on stdin, JSON on stdout. What it prints is never shown.
 *
 * @param name `ecr-login` for the program `docker-credential-ecr-login`, found by PATH and run without a shell
 * @returns undefined where the helper has no login for the server
 * @throws TranshipError `config-invalid` where it is not installed, `timeout`, or `unauthorized` where it fails
 * @see https://github.com/docker/docker-credential-helpers README.md, "Development"
 */
export async function askHelper(
  name: string,
  server: string,
  options: { env: Env; timeoutMs: number },
): Promise<AuthEntry | undefined> {
  const program = `docker-credential-${name}`;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$/.test(name)) {
    throw configurationError("the name of a credential helper in Docker's config file is not a program's name", {
      mend: 'write only what stands after docker-credential-',
    });
  }
  const { error, stdout } = await run(program, server, options);
  if (error === null) return parseAnswer(program, server, stdout);
  if (error.code === 'ENOENT') {
    throw configurationError(`the credential helper ${program}, which Docker's config file names, is not installed`, {
      registry: server,
      mend: 'install it, take it out of the config file, or name an auth file with --auth',
    });
  }
  // docker-credential-helpers credentials/error.go: the helpers' way to say "none".
  if (/credentials not found|no credentials (server URL|username)/i.test(stdout)) return undefined;
  if (error.killed && error.code === null) {
    throw new TranshipError(`${program} gave no answer for ${server} in ${options.timeoutMs} ms`, {
      class: 'transient',
      code: 'timeout',
      registry: server,
    });
  }
  throw failed(program, server, `it ended with ${error.code ?? error.signal ?? 'an error'}`);
}

interface RunResult {
  error: { code?: string | number | null; killed?: boolean; signal?: string } | null;
  stdout: string;
}

function run(program: string, input: string, options: { env: Env; timeoutMs: number }): Promise<RunResult> {
  const settings = {
    env: options.env,
    timeout: options.timeoutMs,
    maxBuffer: maxOutputBytes,
    killSignal: 'SIGKILL' as const,
  };
  return new Promise((resolve) => {
    const child = execFile(program, ['get'], settings, (error, stdout) => {
      resolve({ error: error as RunResult['error'], stdout });
    });
    // A helper that ends before it reads is judged by its exit code.
    child.stdin?.on('error', () => {});
    child.stdin?.end(`${input}\n`);
  });
}

function parseAnswer(program: string, server: string, stdout: string): AuthEntry | undefined {
  let answer: { Username?: unknown; Secret?: unknown } | null;
  try {
    answer = JSON.parse(stdout);
  } catch {
    throw failed(program, server, 'its answer is not JSON');
  }
  const { Username: username, Secret: secret } = answer ?? {};
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw failed(program, server, 'its answer has no Username and Secret');
  }
  if (secret === '') return undefined;
  return username === '<token>' ? { identityToken: secret } : { username, password: secret };
}

function failed(program: string, server: string, what: string): TranshipError {
  return new TranshipError(`${program} gave no login for ${server}: ${what}`, {
    class: 'permanent',
    code: 'unauthorized',
    registry: server,
    mend: `run "echo ${server} | ${program} get" to see why`,
  });
}
