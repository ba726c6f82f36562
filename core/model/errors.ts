/**
 * The one error type of the product. Its class says what retrying can do; nothing else in the code base decides that.
 *
 * - `permanent`: the same request will fail again; a person must change something.
 * - `transient`: it may work next time.
 * - `throttled`: the registry asked to be left alone until `retryAt`.
 * - `configuration`: a file, flag or variable of the user's is wrong; nothing was started.
 */
export const errorClasses = ['permanent', 'transient', 'throttled', 'configuration'] as const;
export type ErrorClass = (typeof errorClasses)[number];

/** What went wrong, for people who filter and count: stable, documented in docs/errors.md. */
export const errorCodes = [
  'aborted', // the run was told to stop
  'bad-manifest', // a manifest that is not what it says it is, or is not valid
  'blob-unknown', // a manifest names a blob that the registry does not have
  'config-invalid', // a rules, auth or settings file cannot be used
  'denied', // credentials are good, the right is missing (403)
  'digest-mismatch', // bytes do not have the digest they were asked by
  'disk-failed', // a disk of this machine is full or broken
  'lease-held', // another worker is uploading the same blob; never reported, the task waits for it
  'lease-lost', // another worker took over while this one was slow
  'limit-exceeded', // a list, manifest or body is larger than the product accepts
  'network', // connection refused, reset, name not found, TLS failure
  'not-found', // the registry says that the repository, tag, manifest or blob is not there
  'protocol', // an answer outside the distribution specification
  'refused', // the registry refuses the request for good (4xx)
  'server-error', // 5xx
  'size-mismatch', // fewer or more bytes than announced
  'stalled', // no bytes for too long
  'tag-immutable', // the destination tag exists with another digest and may not be changed
  'throttled', // 429, or a spent quota
  'timeout', // no answer in time
  'too-many-deletions', // a rule would delete more than it may
  'unauthorized', // no credentials, or credentials that are not accepted (401)
  'unsafe', // something that would send credentials or data where they must not go
  'unsigned', // the rule requires a signature that the image does not have
  'unsupported', // valid, but the registry or this product cannot do it
] as const;
export type ErrorCode = (typeof errorCodes)[number];

/** Where at a registry it happened. */
export interface ErrorSite {
  registry?: string;
  repository?: string;
  /** Verb and object: `get manifest`, `put blob`. */
  operation?: string;
  /** HTTP status of the answer. */
  status?: number;
  /** Error codes of the registry's own answer (distribution spec, "Error Codes"). */
  registryCodes?: string[];
}

/** Where in a user's file it happened; lines and columns count from 1. */
export interface ErrorPlace {
  file: string;
  line?: number;
  column?: number;
}

export interface TranshipErrorOptions extends ErrorSite {
  class: ErrorClass;
  code: ErrorCode;
  /** Epoch milliseconds before which the registry wants no request; for `throttled`. */
  retryAt?: number;
  place?: ErrorPlace;
  /** What the user can do about it, as a sentence. */
  mend?: string;
  cause?: unknown;
}

/** Any failure the product knows about. The message never holds a secret. */
export class TranshipError extends Error {
  override readonly name = 'TranshipError';
  readonly class: ErrorClass;
  readonly code: ErrorCode;
  readonly site: ErrorSite;
  readonly retryAt: number | undefined;
  readonly place: ErrorPlace | undefined;
  readonly mend: string | undefined;

  constructor(message: string, options: TranshipErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const { class: errorClass, code, retryAt, place, mend, cause: _cause, ...site } = options;
    this.class = errorClass;
    this.code = code;
    this.site = site;
    this.retryAt = retryAt;
    this.place = place;
    this.mend = mend;
  }
}

/** What a user's mistake can say besides its message. */
export type ConfigurationErrorOptions = Omit<TranshipErrorOptions, 'class' | 'code' | 'retryAt'>;

/**
 * The error for a file, flag, variable or setting of the user's that cannot be used: class `configuration`,
 * `config-invalid`.
 */
export function configurationError(message: string, options: ConfigurationErrorOptions = {}): TranshipError {
  return new TranshipError(message, { ...options, class: 'configuration', code: 'config-invalid' });
}

/** True where `error` is ours and one of the given codes. */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is TranshipError {
  return error instanceof TranshipError && codes.includes(error.code);
}

/** The failure as it is stored and reported: plain data, safe to keep. */
export interface Failure {
  class: ErrorClass;
  code: ErrorCode;
  message: string;
  registry?: string;
  repository?: string;
  operation?: string;
  status?: number;
  retryAt?: number;
  mend?: string;
}

/**
 * Any thrown value as a {@link TranshipError}. What is not ours is a defect or something unforeseen: transient, so that
 * it is tried again and then reported, never lost.
 */
export function toTranshipError(error: unknown): TranshipError {
  if (error instanceof TranshipError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new TranshipError(`unexpected: ${message}`, { class: 'transient', code: 'protocol', cause: error });
}

/**
 * The same error said differently. Message, class, code, site, place, `retryAt` and `mend` stay as they are, but for
 * what `changes` names; the original becomes the cause. A change to `undefined` removes what was there.
 */
export function rephrase(
  error: TranshipError,
  changes: Partial<TranshipErrorOptions> & { message?: string },
): TranshipError {
  const { class: errorClass, code, site, retryAt, place, mend } = error;
  const { message = error.message, ...others } = changes;
  return new TranshipError(message, {
    ...site,
    class: errorClass,
    code,
    retryAt,
    place,
    mend,
    cause: error,
    ...others,
  });
}

/**
 * Any thrown value as a {@link TranshipError} with a site. An error that names its registry already is returned as it
 * is.
 */
export function atSite(thrown: unknown, site: ErrorSite): TranshipError {
  const error = toTranshipError(thrown);
  return error.site.registry === undefined ? rephrase(error, { ...site, ...error.site }) : error;
}

/** Plain data of an error, for the ledger and the report. */
export function toFailure(thrown: unknown): Failure {
  const error = toTranshipError(thrown);
  const { registry, repository, operation, status } = error.site;
  return {
    class: error.class,
    code: error.code,
    message: error.message,
    registry,
    repository,
    operation,
    status,
    retryAt: error.retryAt,
    mend: error.mend,
  };
}
