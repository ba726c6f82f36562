import { dockerHub } from '../../model/reference.ts';
import type { AuthScheme } from '../auth/scheme.ts';
import { parseEcrHost } from '../ecr-host.ts';

/** Whose registry it is, where that vendor has an API of its own that is worth asking. */
export type Vendor = 'acr' | 'docker-hub' | 'ecr' | 'gitlab' | 'google' | 'harbor' | 'quay';

/** The vendor of a registry that its name tells. */
export function vendorByName(registry: string): Vendor | undefined {
  if (registry === dockerHub) return 'docker-hub';
  if (parseEcrHost(registry) !== undefined) return 'ecr';
  if (isGoogle(registry)) return 'google';
  if (/^[a-z0-9-]+(?:\.[a-z0-9-]+)?\.azurecr\.(?:io|cn|us)$/.test(registry)) return 'acr';
  if (registry === 'quay.io') return 'quay';
  return registry === 'registry.gitlab.com' ? 'gitlab' : undefined;
}

/**
 * The vendor of a registry that people host themselves, by the token server that its challenge names: that costs no
 * request. docs/compatibility.md, section "Digests of many tags at once".
 */
export function vendorByChallenge(registry: string, auth: AuthScheme): Vendor | undefined {
  if (auth.kind !== 'bearer') return undefined;
  const path = URL.parse(auth.realm, `https://${registry}/`)?.pathname;
  if (auth.service === 'harbor-registry' && path === '/service/token') return 'harbor';
  if (auth.service === 'container_registry' && path === '/jwt/auth') return 'gitlab';
  return auth.service === registry && path === '/v2/auth' ? 'quay' : undefined;
}

/** True for a registry of Google Cloud, old or new. */
export function isGoogle(registry: string): boolean {
  return /^(?:[a-z]+\.)?gcr\.io$|^[a-z0-9-]+-docker\.pkg\.dev$/.test(registry);
}
