import type { Credentials } from '../core/model/credentials.ts';
import { createRegistryClient, type RegistryClient, type RegistryClientOptions } from '../core/registry/client.ts';
import { readProxySettings } from '../core/registry/wire/proxy.ts';
import { homeDirectory } from './home.ts';
import { openEcrImages } from './logins/ecr-images.ts';
import { openTrustStore } from './trust/trust-store.ts';

export interface RegistrySettings extends Pick<RegistryClientOptions, 'foundEndpoint' | 'unreachableMs'> {
  credentials: Credentials;
  /** Names the program to registries. */
  userAgent: string;
  /** Token servers and storage hosts that logins may be sent to besides those that belong to a registry. */
  allowedRealms: string[];
  /** Told what registries say, and what is odd about them. */
  warn: (message: string, topic: string) => void;
  /** Told what is wrong with files of certificates. */
  warnOfFiles: (message: string) => void;
}

/** A registry client with this machine's proxies and certificates. */
export function openRegistries(settings: RegistrySettings): RegistryClient {
  const { credentials, userAgent, allowedRealms, warn, warnOfFiles, foundEndpoint, unreachableMs } = settings;
  return createRegistryClient({
    credentials,
    userAgent,
    allowedRealms,
    ecrImages: openEcrImages(credentials),
    proxy: readProxySettings(process.env),
    trust: openTrustStore({ env: process.env, homeDir: homeDirectory(), warn: warnOfFiles }),
    onWarning: warn,
    foundEndpoint,
    ...(unreachableMs !== undefined && { unreachableMs }),
  });
}
