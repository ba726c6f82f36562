import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { splitPem } from '../../core/registry/wire/trust.ts';

/** Where systems keep their authorities. */
export interface SystemPlaces {
  /** The first that can be read counts. */
  files: readonly string[];
  /** All count, and every file in them. */
  directories: readonly string[];
}

/** As in Go (crypto/x509 root_linux.go). */
export const linuxPlaces: SystemPlaces = {
  files: [
    '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Gentoo, Arch
    '/etc/pki/tls/certs/ca-bundle.crt', // Fedora, RHEL 6
    '/etc/ssl/ca-bundle.pem', // openSUSE
    '/etc/pki/tls/cacert.pem', // OpenELEC
    '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // CentOS, RHEL 7
    '/etc/ssl/cert.pem', // Alpine, BSD
  ],
  directories: ['/etc/ssl/certs', '/etc/pki/tls/certs'],
};

export interface SystemStoreOptions {
  /** For SSL_CERT_FILE, and SSL_CERT_DIR, which is a list. */
  env: Record<string, string | undefined>;
  warn: (message: string) => void;
  /** Undefined where the system has its own interface (macOS, Windows). */
  places: SystemPlaces | undefined;
}

/** All public authorities together are a quarter of this. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * The authorities that this machine trusts, as Go's tools find them: SSL_CERT_FILE stands in for the system's bundle,
 * SSL_CERT_DIR for its directories. What either names and cannot be used is warned of (Go says nothing); the system's
 * own places may be missing.
 *
 * @returns PEM certificates, one a string, each once
 */
export async function readSystemStore({ env, warn, places }: SystemStoreOptions): Promise<string[]> {
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: directories } = env;
  const [system, bundle, ...rest] = await Promise.all([
    places === undefined ? getCACertificates('system') : [],
    file ? readNamed('SSL_CERT_FILE', file, readCertificates, warn) : readFirst(places?.files ?? []),
    ...(directories
      ? directories
          .split(delimiter)
          .filter((directory) => directory !== '')
          .map((directory) => readNamed('SSL_CERT_DIR', directory, readDirectory, warn))
      : (places?.directories ?? []).map((directory) => readDirectory(directory).catch(() => []))),
  ]);
  return [...new Set([...system, ...bundle, ...rest.flat()])];
}

async function readNamed(
  variable: string,
  path: string,
  read: (path: string) => Promise<string[]>,
  warn: (message: string) => void,
): Promise<string[]> {
  try {
    const certificates = await read(path);
    if (certificates.length === 0) warn(`${variable}: there is no PEM certificate in ${path}`);
    return certificates;
  } catch (error) {
    warn(`${variable}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`);
    return [];
  }
}

async function readFirst(files: readonly string[]): Promise<string[]> {
  for (const file of files) {
    const certificates = await readCertificates(file).catch(() => undefined);
    if (certificates !== undefined) return certificates;
  }
  return [];
}

async function readDirectory(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const read = await Promise.all(
    entries.map(async (entry) => {
      const path = join(directory, entry.name);
      // `c_rehash` puts a link by hash beside each file.
      if (entry.isSymbolicLink() && !(await readlink(path)).includes('/')) return [];
      return readCertificates(path).catch(() => []);
    }),
  );
  return read.flat();
}

async function readCertificates(file: string): Promise<string[]> {
  const { size } = await stat(file).then((found) => {
    // A pipe would be waited for.
    if (!found.isFile())
      throw Object.assign(new Error('not a file'), { code: found.isDirectory() ? 'EISDIR' : 'EINVAL' });
    return found;
  });
  if (size > MAX_FILE_BYTES) throw Object.assign(new Error('too long'), { code: 'EFBIG' });
  return splitPem(await readFile(file, 'utf8'));
}
