import { type CopyContext, createCopyContext } from '../core/copy/context.ts';
import type { Gate } from '../core/copy/gate.ts';
import type { Credentials } from '../core/model/credentials.ts';
import type { Emit } from '../core/pipeline/ports/events.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import { closeRegistryClient, createRegistryClient, type RegistryClient } from '../core/registry/client.ts';
import { readProxySettings } from '../core/registry/wire/proxy.ts';
import { homeDirectory } from './home.ts';
import { openEcrImages } from './logins/ecr-images.ts';
import { openState, type State } from './state/state.ts';
import { openTrustStore } from './trust/trust-store.ts';

/** The parts of the pipeline on one machine, put together. */
export interface Machine extends State {
  copy: CopyContext;
  /** Closes the state and the connections to registries. */
  close(): Promise<void>;
}

export interface CopySettings {
  credentials: Credentials;
  /** Names the program to registries. */
  userAgent: string;
  /** Token servers and storage hosts that logins may be sent to besides those that belong to a registry. */
  allowedRealms: string[];
  /** Blobs in flight at a time (`--proc`). */
  blobsAtOnce: number;
  emit: Emit;
  signal: AbortSignal;
  /** Shut while other copies are to go first. */
  gate?: Gate;
}

/** A registry client with this machine's proxies and certificates. */
export function openRegistries(
  settings: Pick<CopySettings, 'credentials' | 'userAgent' | 'allowedRealms' | 'emit'>,
): RegistryClient {
  const { credentials, userAgent, allowedRealms, emit } = settings;
  const warn = (message: string) => emit({ type: 'warning', message });
  return createRegistryClient({
    credentials,
    userAgent,
    allowedRealms,
    ecrImages: openEcrImages(credentials),
    proxy: readProxySettings(process.env),
    trust: openTrustStore({ env: process.env, homeDir: homeDirectory(), warn }),
    onWarning: warn,
  });
}

/** A registry client and what copies share; close the client when done. */
export function openCopying(settings: CopySettings, ledger: Ledger): CopyContext {
  const { blobsAtOnce, emit, signal, gate } = settings;
  const client = openRegistries(settings);
  return { ...createCopyContext({ client, ledger, blobsAtOnce, emit }), signal, gate };
}

/** Opens a state directory, closes what an interrupted run left there, and makes a registry client. */
export function openMachine(directory: string, settings: CopySettings): Machine {
  const state = openState(directory);
  state.runOwners.closeAbandoned(Date.now());
  state.prune(Date.now());
  const copy = openCopying(settings, state.ledger);
  return {
    ...state,
    copy,
    async close() {
      await closeRegistryClient(copy.client);
      state.close();
    },
  };
}
