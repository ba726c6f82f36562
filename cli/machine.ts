import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { createBlobIndex } from '../core/copy/blob-index.ts';
import type { CopyContext } from '../core/copy/context.ts';
import type { Gate } from '../core/copy/gate.ts';
import { TranshipError } from '../core/errors.ts';
import type { Credentials, Emit, Ledger } from '../core/pipeline/ports.ts';
import { closeRegistryClient, createRegistryClient } from '../core/registry/client.ts';
import { readProxySettings } from '../core/registry/proxy.ts';
import type { Flags } from './flags.ts';
import type { DeployedStack } from './stack.ts';
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

const BLOB_RETRY = { attempts: 4, baseMs: 500, capMs: 15_000 };

export function openState(flags: Pick<Flags, 'state'>): Database {
  return openDatabase(stateDirectory(flags.state === undefined ? {} : { flag: flags.state }));
}

/** What is known of the destinations, for commands that copy nothing. */
export interface Knowledge {
  ledger: Ledger;
  /** Logins that come with it: a stack's. */
  credentials?: Credentials;
  /** Marks runs as interrupted whose process went away; a stack has none. */
  closeDeadRuns(): void;
  close(): void;
}

/**
 * The ledger of the state directory, or of the stack that `--stack` names. Where there is no state directory yet, an empty one
 * for the moment: looking makes none.
 */
export async function openKnowledge(flags: Pick<Flags, 'state' | 'stack'>, emit: Emit): Promise<Knowledge> {
  if (flags.stack !== undefined) {
    const stack = await openStackOf(flags, emit);
    return { ledger: stack.ledger, credentials: stack.credentials, closeDeadRuns: () => {}, close: () => {} };
  }
  const directory = stateDirectory(flags.state === undefined ? {} : { flag: flags.state });
  const substitute = existsSync(directory) ? undefined : mkdtempSync(join(tmpdir(), 'tranship-'));
  const database = openDatabase(substitute ?? directory);
  return {
    ledger: openLedger(database),
    closeDeadRuns: () => void adoptInterrupted(database, Date.now()),
    close() {
      database.close();
      if (substitute !== undefined) rmSync(substitute, { recursive: true, force: true });
    },
  };
}

/** The stack of `--stack`. AWS's clients are read only then: they take longer to start than all else. */
export async function openStackOf(flags: Pick<Flags, 'state' | 'stack'>, emit: Emit): Promise<DeployedStack> {
  if (flags.state !== undefined) {
    throw new TranshipError('--stack and --state cannot be given together', {
      class: 'configuration',
      code: 'config-invalid',
      mend: 'A stack has its memory in its own table: leave --state out.',
    });
  }
  const { openStack } = await import('./stack.ts');
  return openStack(flags.stack ?? '', (message) => emit({ type: 'warning', message }));
}

export interface CopyingOptions {
  flags: Flags;
  credentials: Credentials;
  emit: Emit;
  signal: AbortSignal;
  /** Shut while other copies are to go first. */
  gate?: Gate;
}

/** A registry client and what copies share; close the client when done. */
export function openCopying({ flags, credentials, emit, signal, gate }: CopyingOptions, ledger: Ledger): CopyContext {
  const client = createRegistryClient({
    credentials,
    userAgent: `tranship/${version}`,
    allowedRealms: flags.allowRealm,
    proxy: readProxySettings(process.env),
    onWarning: (message) => emit({ type: 'warning', message }),
  });
  return {
    client,
    index: createBlobIndex(ledger),
    blobSlots: pLimit(flags.proc),
    retry: BLOB_RETRY,
    emit,
    signal,
    gate,
  };
}

/** Opens the state directory, closes what an interrupted run left there, and makes a registry client. */
export function openMachine(options: CopyingOptions): Machine {
  const database = openState(options.flags);
  adoptInterrupted(database, Date.now());
  prune(database, Date.now());
  const ledger = openLedger(database);
  const copy = openCopying(options, ledger);
  return {
    database,
    ledger,
    queue: openQueue(database),
    copy,
    async close() {
      await closeRegistryClient(copy.client);
      database.close();
    },
  };
}
