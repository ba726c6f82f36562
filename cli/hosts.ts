import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Credentials } from '../core/model/credentials.ts';
import { configurationError } from '../core/model/errors.ts';
import type { Emit } from '../core/pipeline/ports/events.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import type { CopySettings } from '../machine/machine.ts';
import { openMemoryState, openState } from '../machine/state/state.ts';
import { stateDirectory } from '../machine/state/state-dir.ts';
import type { Flags } from './args/flags.ts';
import type { DeployedStack } from './stack.ts';
import { version } from './version.ts';

/** The flags that choose the host: the state directory of this machine, or a stack on AWS. */
type HostFlags = Pick<Flags, 'state' | 'stack'>;

export function stateDirectoryOf(flags: Pick<Flags, 'state'>): string {
  return stateDirectory({ flag: flags.state });
}

/** The settings of copies, from the flags. */
export function copySettings(
  flags: Pick<Flags, 'allowRealm' | 'proc' | 'workers'>,
  { allowedRealms = [] }: Partial<Pick<Knowledge, 'allowedRealms'>> = {},
): Pick<CopySettings, 'userAgent' | 'allowedRealms' | 'blobsAtOnce' | 'workers'> {
  return {
    userAgent: `tranship/${version}`,
    allowedRealms: [...allowedRealms, ...flags.allowRealm],
    blobsAtOnce: flags.proc,
    workers: flags.workers ?? availableParallelism(),
  };
}

/**
 * For commands that only look, rule after rule. They try nothing a second time, and without a network each rule would wait
 * for the source to fail, and then for the destination, until the failure of the source is forgotten.
 */
export const lookSettings = { workers: 1, unreachableMs: 30_000 };

/** What a host remembers, for commands that copy nothing. */
export interface Knowledge {
  ledger: Ledger;
  /** The logins of a stack; this machine's come from files. */
  credentials?: Credentials;
  /** Token servers that logins may be sent to besides those of the flags: a stack's. */
  allowedRealms: string[];
  /** How many tasks of a stack wait for a long worker; not there for this machine, whose time is not bounded. */
  countLongTasks?(): Promise<number | undefined>;
  /** Marks the runs of processes that are gone as interrupted. A stack has no such runs. */
  closeDeadRuns(): void;
  close(): void;
}

/**
 * The ledger of the state directory, or of the stack that `--stack` names. Looking at it creates no state directory.
 */
export async function openKnowledge(flags: HostFlags, emit: Emit): Promise<Knowledge> {
  if (flags.stack !== undefined) {
    const stack = await openStackOf(flags, emit);
    const { ledger, credentials, allowedRealms, countLongTasks } = stack;
    return { ledger, credentials, allowedRealms, countLongTasks, closeDeadRuns: () => {}, close: () => {} };
  }
  const directory = stateDirectoryOf(flags);
  const state = existsSync(directory) ? openState(directory) : openMemoryState();
  return {
    ledger: state.ledger,
    allowedRealms: [],
    closeDeadRuns: () => void state.runOwners.closeAbandoned(Date.now()),
    close: state.close,
  };
}

/** The stack of `--stack`. Loads the AWS clients only now: they take longer than everything else. */
export async function openStackOf(flags: HostFlags, emit: Emit): Promise<DeployedStack> {
  if (flags.state !== undefined) {
    throw configurationError('--stack and --state cannot be given together', {
      mend: 'A stack has its memory in its own table: leave --state out.',
    });
  }
  const { openStack } = await import('./stack.ts');
  return openStack(flags.stack ?? '', (message) => emit({ type: 'warning', message }));
}
