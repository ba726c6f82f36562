import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { createBlobIndex } from '../core/copy/blob-index.ts';
import type { CopyContext } from '../core/copy/context.ts';
import type { Credentials, Emit, Ledger } from '../core/pipeline/ports.ts';
import { closeRegistryClient, createRegistryClient, type RequestEvent } from '../core/registry/client.ts';
import { readProxySettings } from '../core/registry/proxy.ts';
import type { Flags } from './flags.ts';
import { type Database, openDatabase } from './state/database.ts';
import { adoptInterrupted } from './state/interrupted.ts';
import { openLedger } from './state/ledger.ts';
import { prune } from './state/prune.ts';
import { openQueue, type Queue } from './state/queue.ts';
import { stateDirectory } from './state/state-dir.ts';
import { version } from './version.ts';

/** The parts of the pipeline on one machine, put together. */
export interface Machine {
  database: Database;
  ledger: Ledger;
  queue: Queue;
  copy: CopyContext;
  close(): Promise<void>;
}

export const BLOB_RETRY = { attempts: 4, baseMs: 500, capMs: 15_000 };

export function openState(flags: Pick<Flags, 'state'>): Database {
  return openDatabase(stateDirectory(flags.state === undefined ? {} : { flag: flags.state }));
}

/** The ledger for reading; an empty one for the moment where there is no state directory yet: reading makes none. */
export function readState(flags: Pick<Flags, 'state'>): { ledger: Ledger; close(): void } {
  const directory = stateDirectory(flags.state === undefined ? {} : { flag: flags.state });
  const substitute = existsSync(directory) ? undefined : mkdtempSync(join(tmpdir(), 'tranship-'));
  const database = openDatabase(substitute ?? directory);
  return {
    ledger: openLedger(database),
    close() {
      database.close();
      if (substitute !== undefined) rmSync(substitute, { recursive: true, force: true });
    },
  };
}

/** Opens the state directory, closes what an interrupted run left there, and makes a registry client. */
export function openMachine(options: {
  flags: Flags;
  credentials: Credentials;
  emit: Emit;
  signal: AbortSignal;
  onRequest?: (event: RequestEvent) => void;
}): Machine {
  const { flags, credentials, emit, signal } = options;
  const database = openState(flags);
  adoptInterrupted(database, Date.now());
  prune(database, Date.now());
  const ledger = openLedger(database);
  const client = createRegistryClient({
    credentials,
    userAgent: `tranship/${version}`,
    allowedRealms: flags.allowRealm,
    proxy: readProxySettings(process.env),
    onWarning: (message) => emit({ type: 'warning', message }),
    ...(options.onRequest && { onRequest: options.onRequest }),
  });
  return {
    database,
    ledger,
    queue: openQueue(database),
    copy: { client, index: createBlobIndex(ledger), blobSlots: pLimit(flags.proc), retry: BLOB_RETRY, emit, signal },
    async close() {
      await closeRegistryClient(client);
      database.close();
    },
  };
}
