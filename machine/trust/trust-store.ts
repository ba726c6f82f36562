import type { TrustStore } from '../../core/registry/wire/trust.ts';
import { certsDirectories, readRegistryTrust } from './certs-d.ts';
import { linuxPlaces, readSystemStore } from './system-store.ts';

export interface TrustStoreOptions {
  /** For SSL_CERT_FILE, SSL_CERT_DIR and XDG_CONFIG_HOME. */
  env: Record<string, string | undefined>;
  /** Undefined where the user has none. */
  homeDir?: string;
  warn: (message: string) => void;
}

/** The certificates that this machine's files name. They are read when the first https connection is made, once. */
export function openTrustStore({ env, homeDir, warn }: TrustStoreOptions): TrustStore {
  const places = ['darwin', 'win32'].includes(process.platform) ? undefined : linuxPlaces;
  const directories = certsDirectories(env, homeDir);
  let authorities: Promise<string[]> | undefined;
  return {
    authorities() {
      authorities ??= readSystemStore({ env, warn, places });
      return authorities;
    },
    forRegistry: (registry) => readRegistryTrust(directories, registry, warn),
    advice: (registry) =>
      `name the PEM file of its certificate authority in SSL_CERT_FILE, or as \`ca\` in the auth entry of ${registry}; ` +
      `or put it into the system's store, or at /etc/docker/certs.d/${registry}/ca.crt; ` +
      '`insecure: true` in the auth entry checks none',
  };
}
