import type { LimitFunction } from 'p-limit';
import type { TranshipError } from '../errors.ts';
import type { Emit } from '../pipeline/ports.ts';
import type { Target } from '../reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { RetryPolicy } from '../registry/retry.ts';
import type { BlobIndex } from './blob-index.ts';
import type { Gate } from './gate.ts';

/** What every copy of a process shares. */
export interface CopyContext {
  client: RegistryClient;
  index: BlobIndex;
  /** Bounds the blobs in flight (`--proc`). */
  blobSlots: LimitFunction;
  /** For a blob as a whole; the registry client retries its small requests itself. */
  retry: RetryPolicy;
  emit: Emit;
  signal: AbortSignal;
  /** Shut while others are to go first. */
  gate?: Pick<Gate, 'isShut' | 'onOpen'> | undefined;
}

/** One destination of a task while it is being made equal. A destination with an error is left out of what follows. */
export interface Arrival {
  target: Target;
  error?: TranshipError;
  /** Bytes streamed to it, blobs mounted, blobs that it had. */
  bytes: number;
  mounted: number;
  present: number;
}

export function createArrival(target: Target): Arrival {
  return { target, bytes: 0, mounted: 0, present: 0 };
}

export function isAlive(arrival: Arrival): boolean {
  return arrival.error === undefined;
}
