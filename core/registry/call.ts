import { TranshipError, type TranshipErrorOptions } from '../model/errors.ts';
import type { Repository } from '../model/reference.ts';
import { retry } from './retry.ts';
import type { RegistryClient } from './state.ts';

/** One operation on a repository: what every request of it, and every error, has in common. */
export interface Call {
  client: RegistryClient;
  repository: Repository;
  /** Verb and object: `get manifest`. */
  operation: string;
  /** What the operation is about, for messages: `ghcr.io/org/app:1.2`. */
  subject: string;
  signal?: AbortSignal;
}

/** An error that says where it happened. */
export function callError(
  call: Pick<Call, 'repository' | 'operation' | 'subject'>,
  what: string,
  options: Omit<TranshipErrorOptions, 'registry' | 'repository' | 'operation'>,
): TranshipError {
  return new TranshipError(`${call.operation} ${call.subject}: ${what}`, {
    registry: call.repository.registry,
    repository: call.repository.repository,
    operation: call.operation,
    ...options,
  });
}

/** Runs a call that can be repeated, as the client's policy says. */
export function retryCall<T>(call: Call, step: (attempt: number) => Promise<T>): Promise<T> {
  const { retry: policy, maxThrottleWaitMs } = call.client.options;
  return retry(policy, { signal: call.signal, maxThrottleWaitMs }, step);
}

/** Runs a call that streams, which its caller repeats. */
export function callOnce<T>(call: Call, step: () => Promise<T>): Promise<T> {
  return retry({ attempts: 1, baseMs: 0, capMs: 0 }, call.signal, step);
}
