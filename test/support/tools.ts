import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian packages whose programs the tests put the product in front of; each holds a program of the same name. */
export const toolNames = ['docker-registry', 'skopeo', 'chromium'] as const;
export type ToolName = (typeof toolNames)[number];

/** Where tools are unpacked that the machine does not have. */
const unpackedRoot = fileURLToPath(new URL('../../node_modules/.cache/tranship-tools/', import.meta.url));

/** Absolute path of a tool, from PATH or unpacked by {@link installTools}; undefined where there is none. */
export function findTool(name: ToolName): string | undefined {
  // Chromium's program in usr/bin is a script that looks for the browser where the package would be installed.
  const unpacked = name === 'chromium' ? 'usr/lib/chromium' : 'usr/bin';
  const folders = [...(process.env.PATH ?? '').split(delimiter), join(unpackedRoot, unpacked)];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

/**
 * For `describe.skipIf(!toolsReady(…))`: true where all the tools are there.
 * @throws where one is missing and CI is set: there, a skipped test would be taken for a passed one
 */
export function toolsReady(...names: ToolName[]): boolean {
  const missing = names.filter((name) => findTool(name) === undefined);
  if (missing.length > 0 && process.env.CI) throw new Error(`missing: ${missing.join(', ')}; ${howToInstall(missing)}`);
  return missing.length === 0;
}

export function howToInstall(names: readonly string[]): string {
  return `on Debian or Ubuntu: apt-get install --no-install-recommends ${names.join(' ')}`;
}

/** Environment in which an unpacked tool finds the libraries unpacked beside it. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  if (!existsSync(unpackedRoot)) return process.env;
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const unpacked = [`usr/lib/${triplet}`, `lib/${triplet}`].map((folder) => join(unpackedRoot, folder));
  const libraries = [...unpacked, process.env.LD_LIBRARY_PATH ?? ''].filter((path) => path !== '');
  return { ...process.env, LD_LIBRARY_PATH: libraries.join(':') };
}

/**
 * Fetches missing tools from the Debian mirror the machine is set up for and unpacks them, with the libraries that are
 * not installed, into the cache. Needs no root where apt's lists are filled; fills them first where it is root.
 */
export async function installTools(names: ToolName[]): Promise<void> {
  if (process.getuid?.() === 0) await run('apt-get', ['update', '-qq'], { timeout: 60_000 });
  const simulated = await run('apt-get', ['install', '--simulate', '--no-install-recommends', ...names]);
  const packages = [...simulated.stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
  await mkdir(unpackedRoot, { recursive: true });
  const folder = await mkdtemp(join(unpackedRoot, 'download-'));
  try {
    await run('apt-get', ['download', ...packages], { cwd: folder, timeout: 240_000 });
    for (const file of await readdir(folder)) await run('dpkg', ['-x', join(folder, file), unpackedRoot]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Runs skopeo without its trust policy file.
 * @returns stdout as bytes
 * @throws with skopeo's own words
 */
export async function skopeo(args: string[], options: { timeoutMs?: number } = {}): Promise<Buffer> {
  const path = findTool('skopeo');
  if (path === undefined) throw new Error(`skopeo is missing; ${howToInstall(['skopeo'])}`);
  const { stdout } = await run(path, ['--insecure-policy', ...args], {
    encoding: 'buffer',
    env: toolEnvironment(),
    maxBuffer: 16 * 1024 * 1024,
    timeout: options.timeoutMs ?? 30_000,
  });
  return stdout;
}

/**
 * What another client than ours sees at a reference: the manifest's bytes and the digest that skopeo works out of them
 * (for a signed schema 1 manifest that of its payload).
 * @param reference `127.0.0.1:5000/team/app:1`
 * @param args more of skopeo's flags, `--creds`, `--cert-dir`
 */
export async function inspectDigest(
  reference: string,
  args: string[] = ['--tls-verify=false'],
): Promise<{ bytes: Buffer; digest: string }> {
  const bytes = await skopeo(['inspect', '--raw', ...args, `docker://${reference}`]);
  const folder = await mkdtemp(join(tmpdir(), 'tranship-inspect-'));
  try {
    const file = join(folder, 'manifest.json');
    await writeFile(file, bytes);
    return { bytes, digest: (await skopeo(['manifest-digest', file])).toString().trim() };
  } finally {
    await rm(folder, { recursive: true });
  }
}
