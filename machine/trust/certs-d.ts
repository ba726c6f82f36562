import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { configurationError, type TranshipError } from '../../core/model/errors.ts';
import { type RegistryTrust, splitPem } from '../../core/registry/wire/trust.ts';

const nothing: RegistryTrust = { authorities: [], clients: [] };

/** The directories that hold one directory a registry, the user's own first. */
export function certsDirectories(env: Record<string, string | undefined>, homeDir: string | undefined): string[] {
  const inHome = (...path: string[]) => (homeDir === undefined ? [] : [join(homeDir, ...path)]);
  const config = env.XDG_CONFIG_HOME ? [env.XDG_CONFIG_HOME] : inHome('.config');
  return [
    // containers/image knows no XDG_CONFIG_HOME here, rootless Docker does.
    ...new Set([...config, ...inHome('.config')].map((directory) => join(directory, 'containers/certs.d'))),
    ...config.map((directory) => join(directory, 'docker/certs.d')),
    ...inHome('.docker/certs.d'),
    '/etc/containers/certs.d',
    '/etc/docker/certs.d',
  ];
}

/**
 * What Docker's and Podman's `certs.d/HOST[:PORT]/` say of a registry: `*.crt` are authorities, `*.cert` with `*.key`
 * of the same name client certificates. The first directory that exists counts, alone.
 *
 * @param registry `host[:port]` as references have it; `docker.io` for Docker Hub
 * @throws TranshipError `config-invalid` for a certificate without its key, a key without its certificate, or a pair
 *   that does not belong together
 * @see https://github.com/containers/image/blob/main/docs/containers-certs.d.5.md
 */
export async function readRegistryTrust(
  directories: readonly string[],
  registry: string,
  warn: (message: string) => void,
): Promise<RegistryTrust> {
  if (/^\.+$|[/\\\0]/.test(registry)) return nothing;
  // Windows allows no colon in names; Docker leaves it out there.
  const name = process.platform === 'win32' ? registry.replaceAll(':', '') : registry;
  for (const parent of directories) {
    const directory = join(parent, name);
    try {
      return await readTrust(directory, readdirSync(directory), warn);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') continue;
      if (code !== 'EACCES' && code !== 'EPERM') throw error;
      warn(`${directory} cannot be read (${code}): its certificates are not used`);
    }
  }
  return nothing;
}

async function readTrust(directory: string, files: string[], warn: (message: string) => void): Promise<RegistryTrust> {
  const ending = (end: string) => files.filter((file) => file.endsWith(end) && file !== end).sort();
  const pathOf = (file: string) => join(directory, file);
  for (const key of ending('.key')) {
    const cert = key.replace(/key$/, 'cert');
    if (!files.includes(cert)) {
      throw configurationError(`${pathOf(key)} has no certificate`, {
        mend: `Put the client certificate at ${pathOf(cert)}; only authorities end with .crt.`,
      });
    }
  }
  const clients = ending('.cert').map(async (cert) => {
    const key = cert.replace(/cert$/, 'key');
    if (!files.includes(key)) {
      throw configurationError(`${pathOf(cert)} has no key`, {
        mend: `Put its key at ${pathOf(key)}; if it is an authority, its name must end with .crt.`,
      });
    }
    return readPair(pathOf(cert), pathOf(key));
  });
  const authorities = ending('.crt').map(async (file) => {
    const certificates = splitPem(await readText(pathOf(file)));
    if (certificates.length === 0) warn(`there is no PEM certificate in ${pathOf(file)}`);
    return certificates;
  });
  const [pairs, lists] = await Promise.all([Promise.all(clients), Promise.all(authorities)]);
  return { authorities: lists.flat(), clients: pairs };
}

async function readPair(certFile: string, keyFile: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = await Promise.all([readText(certFile), readText(keyFile)]);
  let belong: boolean;
  try {
    belong = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    // Not with OpenSSL's message, which says nothing about the file.
    throw unusable(certFile, keyFile, 'cannot be used');
  }
  if (!belong) throw unusable(certFile, keyFile, 'do not belong together');
  return { cert, key };
}

function unusable(certFile: string, keyFile: string, what: string): TranshipError {
  return configurationError(`the client certificate ${certFile} and the key ${keyFile} ${what}`, {
    mend: 'Both must be PEM, the key without a passphrase.',
  });
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw configurationError(`${file} cannot be read (${code})`, { place: { file } });
  }
}
