import type { Web } from '../core/web/ask-web.ts';
import { homeDirectory } from './home.ts';
import { openTrustStore } from './trust/trust-store.ts';

/** The web by this machine's proxies and certificates. */
export function openWeb(userAgent: string, warn: (message: string) => void): Web {
  return {
    env: process.env,
    trust: openTrustStore({ env: process.env, homeDir: homeDirectory(), warn }),
    userAgent,
  };
}
