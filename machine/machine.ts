import { type CopyContext, createCopyContext } from '../core/copy/context.ts';
import type { Gate } from '../core/copy/gate.ts';
import type { Credentials } from '../core/model/credentials.ts';
import type { Emit } from '../core/pipeline/ports/events.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import { closeRegistryClient, createRegistryClient } from '../core/registry/client.ts';
import { readProxySettings } from '../core/registry/wire/proxy.ts';
import { homeDirectory } from './home.ts';
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

/** A registry client and what copies share; close the client when done. */
export function openCopying(settings: CopySettings, ledger: Ledger): CopyContext {
  const { credentials, userAgent, allowedRealms, blobsAtOnce, emit, signal, gate } = settings;
  const warn = (message: string) => emit({ type: 'warning', message });
  const client = createRegistryClient({
    credentials,
    userAgent,
    allowedRealms,
    proxy: readProxySettings(process.env),
    trust: openTrustStore({ env: process.env, homeDir: homeDirectory(), warn }),
    onWarning: warn,
  });
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
