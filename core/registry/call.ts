import { type ErrorSite, TranshipError, type TranshipErrorOptions } from '../model/errors.ts';
import type { Repository } from '../model/reference.ts';
import { abortedError } from './abort.ts';
import { retry } from './retry.ts';
import type { RegistryClient } from './state.ts';

/** One operation on a repository: what its requests and errors have in common. */
export interface Call {
  client: RegistryClient;
  repository: Repository;
  /** Verb and object: `get manifest`. */
  operation: string;
  /** What the operation is about, for messages: `ghcr.io/org/app:1.2`. */
  subject: string;
  access: Access;
  signal?: AbortSignal;
}

/** What a token for a call must allow. */
export type Access = 'pull' | 'push' | 'delete' | 'catalog';

/** Options of a question about what a registry has. */
export interface QuestionOptions {
  /**
   * `push` where the repository is a destination. Some registries know nothing of a repository that is not there yet,
   * not even to say so, to a token that may only pull, and create it for one that may push (Quay, helm/helm#30987).
   * Default `pull`.
   */
  access?: Access;
  signal?: AbortSignal;
}

/** What names a call in errors. */
export type CallName = Pick<Call, 'repository' | 'operation' | 'subject'>;

/** An error of a call: its message begins with operation and subject, its site is the call's. */
export function callError(
  call: CallName,
  what: string,
  options: Omit<TranshipErrorOptions, 'registry' | 'repository' | 'operation'>,
): TranshipError {
  return new TranshipError(`${call.operation} ${call.subject}: ${what}`, { ...siteOf(call), ...options });
}

/** Where a call happens, for errors. */
export function siteOf({ repository: { registry, repository }, operation }: CallName): ErrorSite {
  return { registry, repository, operation };
}

/** Runs a call that is retried here, as the client's policy says. Nothing that `step` calls may retry. */
export function retryCall<T>(call: Call, step: () => Promise<T>): Promise<T> {
  const { retry: policy, maxThrottleWaitMs } = call.client.options;
  return retry(policy, { signal: call.signal, maxThrottleWaitMs }, step);
}

/** Runs a call that its caller retries, for example as part of bringing a blob. */
export function callOnce<T>({ signal }: Call, step: () => Promise<T>): Promise<T> {
  return signal?.aborted ? Promise.reject(abortedError(signal)) : step();
}

/** Time for an answer that may take work: a registry stores gigabytes first, or reads all of its storage. */
export function patienceMs({ client: { options } }: Call): number {
  return options.stallMs * 5;
}
