import type { BlobMove, MoveEnd } from '../../core/copy/mover.ts';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { TranshipError, type TranshipErrorOptions } from '../../core/model/errors.ts';
import type { Repository } from '../../core/model/reference.ts';
import type { Quirks } from '../../core/registry/quirks.ts';
import type { FoundEndpoint } from '../../core/registry/state.ts';

/** What a thread is made with. */
export interface ThreadSettings {
  userAgent: string;
  allowedRealms: string[];
  isGateShut: boolean;
}

/** What uploads of whole blobs learn of a registry. */
export type UploadQuirks = Pick<Quirks, 'needsMonolithicPut' | 'refusesPutWithBody' | 'redirectsPatch'>;

export function uploadQuirks({ needsMonolithicPut, refusesPutWithBody, redirectsPatch }: Quirks): UploadQuirks {
  return { needsMonolithicPut, refusesPutWithBody, redirectsPatch };
}

/** A move with what is known of its registries. */
export interface MoveOrder {
  move: BlobMove;
  endpoints: FoundEndpoint[];
  /** Of each session's registry. */
  quirks: UploadQuirks[];
  /** It waits while the gate is shut. */
  isGated: boolean;
}

/** From the main thread. */
export type Order =
  | ({ type: 'move'; id: number } & MoveOrder)
  | { type: 'abort'; id: number }
  | { type: 'gate'; isShut: boolean }
  | { type: 'login'; id: number; found: Plain<AuthEntry | undefined> };

/** From a thread. */
export type Report =
  | { type: 'ready' }
  | { type: 'progress'; id: number; bytes: number; read: number }
  | { type: 'moved'; id: number; ends: Array<Plain<PlainSession>>; quirks: UploadQuirks[] }
  | { type: 'login-wanted'; id: number; repository: Repository; fresh: boolean }
  | { type: 'warning'; topic: string; message: string };

type PlainSession = Extract<MoveEnd, { kind: 'sent' }>['session'];

/** A result as it goes from one thread to another. */
type Plain<T> = { kind: 'good'; value: T } | { kind: 'bad'; error: PlainError };

interface PlainError {
  message: string;
  options: Omit<TranshipErrorOptions, 'cause'>;
  /** What the cause said. */
  cause: string | undefined;
}

/** An error as plain data: a copy between threads keeps neither its class nor all its fields. */
export function packError(error: TranshipError): PlainError {
  const { class: errorClass, code, retryAt, place, mend, site, cause } = error;
  return {
    message: error.message,
    options: { ...site, class: errorClass, code, retryAt, place, mend },
    cause: cause === undefined ? undefined : cause instanceof Error ? cause.message : String(cause),
  };
}

export function unpackError({ message, options, cause }: PlainError): TranshipError {
  return new TranshipError(message, { ...options, cause: cause === undefined ? undefined : new Error(cause) });
}
