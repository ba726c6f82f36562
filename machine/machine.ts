import { type CopyContext, createCopyContext } from '../core/copy/context.ts';
import type { Gate } from '../core/copy/gate.ts';
import type { Emit } from '../core/pipeline/ports/events.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import { closeRegistryClient } from '../core/registry/client.ts';
import { openRegistries, type RegistrySettings } from './registries.ts';
import { openState, type State } from './state/state.ts';
import { createMoverPool } from './workers/pool.ts';

/** The parts of the pipeline on one machine, put together. */
export interface Machine extends State {
  copy: CopyContext;
  /** Closes the state, threads and the connections to registries. */
  close(): Promise<void>;
}

export interface CopySettings
  extends Pick<RegistrySettings, 'credentials' | 'userAgent' | 'allowedRealms' | 'unreachableMs'> {
  /** Blobs in flight at a time (`--proc`). */
  blobsAtOnce: number;
  /** Threads that move large blobs, this one included (`--workers`). */
  workers: number;
  emit: Emit;
  signal: AbortSignal;
  /** Shut while other copies are to go first. */
  gate?: Gate;
}

/** What copies share, until it is closed. */
export interface OpenCopying {
  copy: CopyContext;
  /** Ends the threads, and closes the connections to registries. */
  close(): Promise<void>;
}

/**
 * A registry client, threads for it, and what copies share.
 * @param flushEveryMs as of the index of blobs
 */
export function openCopying(settings: CopySettings, ledger: Ledger, flushEveryMs?: number): OpenCopying {
  const { blobsAtOnce, emit, signal, gate } = settings;
  const warn = (message: string) => emit({ type: 'warning', message });
  const client = openRegistries({ ...settings, warn, warnOfFiles: warn });
  const workers = Math.min(settings.workers, blobsAtOnce);
  const pool = workers > 1 ? createMoverPool({ client, workers, gate }) : undefined;
  const shared = createCopyContext({ client, ledger, blobsAtOnce, emit, flushEveryMs });
  return {
    copy: { ...shared, signal, gate, mover: pool?.mover },
    async close() {
      await shared.index.flushAll().catch(() => {});
      await pool?.close();
      await closeRegistryClient(client);
    },
  };
}

/** A process that is killed loses the blob places of so long, which save requests and no more. */
const PLACES_EVERY_MS = 1000;

/** Opens a state directory, closes what an interrupted run left there, and makes a registry client. */
export function openMachine(directory: string, settings: CopySettings): Machine {
  const state = openState(directory);
  state.runOwners.closeAbandoned(Date.now());
  state.prune(Date.now());
  const copying = openCopying(settings, state.ledger, PLACES_EVERY_MS);
  return {
    ...state,
    copy: copying.copy,
    async close() {
      await copying.close();
      state.close();
    },
  };
}
