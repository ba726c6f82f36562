import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startTokenServer, tokenIssuer, tokenService } from './token-server.ts';
import { findTool, howToInstall, toolEnvironment } from './tools.ts';

/** The one login of registries with `htpasswd` or `token`. */
export const username = 'tester';
export const password = 'sesame';
/** bcrypt of the password at the lowest cost. */
const htpasswd = `${username}:$2y$05$transhiptestsaltabcdeuFxSrTlQumUPRbhiBGaA2Hr..8ZlPSIG\n`;

const fixturesFolder = fileURLToPath(new URL('./fixtures/', import.meta.url));

/** PEM of the authority behind registries with `tls`. */
export const testAuthority = readFileSync(join(fixturesFolder, 'ca.pem'), 'utf8');

export interface DistributionOptions {
  /** Default `none`. */
  auth?: 'none' | 'htpasswd' | 'token';
  tls?: boolean;
  /** Another program than `docker-registry`: CNCF distribution 3 is called `registry`. */
  program?: string | undefined;
  /** Lifetime of tokens. Default 60 s. */
  tokenTtlSeconds?: number;
  /** Where to post distribution's notifications, all of them. */
  notifyUrl?: string;
  /** The part of its configuration with that name. */
  notifications?: unknown;
}

export interface Distribution {
  /** Without a slash at the end. */
  url: string;
  /** `127.0.0.1:port`. */
  host: string;
  /** What the registry wrote so far, access log included. */
  logs(): string;
  /** Token requests so far; 0 without `token`. */
  tokensIssued(): number;
  close(): Promise<void>;
}

const startTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;

/**
 * Starts CNCF distribution on a free loopback port, with schema 1 and deletion enabled.
 * @throws with the log where it does not answer within 15 s
 */
export async function startDistribution(options: DistributionOptions = {}): Promise<Distribution> {
  const program = options.program ?? findTool('docker-registry');
  if (program === undefined) throw new Error(`docker-registry is missing; ${howToInstall(['docker-registry'])}`);
  const folder = await mkdtemp(join(tmpdir(), 'tranship-registry-'));
  const tokens =
    options.auth === 'token'
      ? await startTokenServer({ username, password, ttlSeconds: options.tokenTtlSeconds ?? 60 })
      : undefined;
  const config = join(folder, 'config.json');
  await writeFile(join(folder, 'htpasswd'), htpasswd);
  await writeFile(config, JSON.stringify(configOf(options, folder, tokens?.url)));

  let log = '';
  const child = spawn(program, ['serve', config], { env: toolEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });

  const close = async () => {
    await stop(child);
    await tokens?.close();
    await rm(folder, { recursive: true });
  };
  try {
    const host = await listeningHost(child, () => log);
    return {
      url: `${options.tls ? 'https' : 'http'}://${host}`,
      host,
      logs: () => log,
      tokensIssued: () => tokens?.issued() ?? 0,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Two registries at once, the usual source and destination. */
export async function startDistributionPair(
  source: DistributionOptions = {},
  destination: DistributionOptions = source,
): Promise<{ source: Distribution; destination: Distribution; close(): Promise<void> }> {
  const [first, second] = await Promise.all([startDistribution(source), startDistribution(destination)]);
  return {
    source: first,
    destination: second,
    close: async () => {
      await Promise.all([first.close(), second.close()]);
    },
  };
}

/** https://distribution.github.io/distribution/about/configuration/ (JSON is YAML). */
function configOf(options: DistributionOptions, folder: string, realm: string | undefined): object {
  const { auth = 'none', tls, notifyUrl } = options;
  const notifyTest = { name: 'test', url: notifyUrl, timeout: '2s', threshold: 3, backoff: '100ms' };
  const notifications = options.notifications ?? (notifyUrl && { endpoints: [notifyTest] });
  // Its memory driver lists no tags in 2.8.2, and takes quadratic time over a large blob.
  const driver = { filesystem: { rootdirectory: join(folder, 'content') } };
  return {
    version: '0.1',
    log: { level: 'info', fields: {} },
    storage: { ...driver, delete: { enabled: true }, maintenance: { uploadpurging: { enabled: false } } },
    compatibility: { schema1: { enabled: true } },
    validation: { manifests: { urls: { allow: ['^https?://'] } } },
    http: {
      addr: '127.0.0.1:0',
      secret: 'of no account',
      ...(tls && {
        tls: { certificate: join(fixturesFolder, 'server.pem'), key: join(fixturesFolder, 'server-key.pem') },
      }),
    },
    ...(auth === 'htpasswd' && { auth: { htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } } }),
    ...(auth === 'token' && {
      auth: {
        token: { realm, service: tokenService, issuer: tokenIssuer, rootcertbundle: join(fixturesFolder, 'token.pem') },
      },
    }),
    ...(notifications !== undefined && { notifications }),
  };
}

/** The address that the registry itself found, from its log: a port chosen for it could be taken in the meantime. */
async function listeningHost(child: ChildProcess, log: () => string): Promise<string> {
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline && child.exitCode === null) {
    const host = /listening on (127\.0\.0\.1:\d+)/.exec(log())?.[1];
    if (host !== undefined) return host;
    await sleep(10);
  }
  throw new Error(`docker-registry does not answer; its log:\n${log()}`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await exited;
  clearTimeout(late);
}
