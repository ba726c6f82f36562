import * as v from 'valibot';
import { type ErrorClass, type ErrorCode, TranshipError } from '../../core/model/errors.ts';

/** Those that do not say so: `KmsThrottled`, `KMS.ThrottlingException` and `RequestThrottled` do. */
const THROTTLES = new Set([
  // SQS, for 120,000 messages in flight.
  'OverLimit',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'TooManyRequestsException',
]);

const DENIALS = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'ExpiredTokenException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'UnrecognizedClientException',
]);

/** Whether AWS asks to be asked later, by the name of its error. It puts many of these down to the client. */
export function isThrottle(name: string): boolean {
  return THROTTLES.has(name) || /throttl/i.test(name);
}

/** What the SDK adds to an error; `$fault` and a status only where the service answered. */
const sdkFields = v.object({
  $metadata: v.optional(v.object({ httpStatusCode: v.optional(v.number()) })),
  $fault: v.optional(v.string()),
});

/**
 * A failed AWS API call as a TranshipError. Throttles, server errors and lost connections are transient (the SDK has
 * retried them already), refusals are permanent, a missing resource and missing credentials are configuration.
 *
 * @param operation what was being done: `write ledger`
 */
export function awsError(operation: string, thrown: unknown): TranshipError {
  if (thrown instanceof TranshipError) return thrown;
  if (thrown instanceof SyntaxError) {
    // The response is not JSON. The parser's message quotes it, and it may hold a secret or a token.
    return new TranshipError(`${operation}: the response cannot be read`, {
      class: 'transient',
      code: 'protocol',
      operation,
    });
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { $metadata, $fault } = v.parse(sdkFields, error);
  const status = $metadata?.httpStatusCode;
  const [errorClass, code] = classify(error.name, status, $fault);
  return new TranshipError(`${operation}: ${error.name}: ${error.message}`, {
    class: errorClass,
    code,
    operation,
    status,
    cause: error,
  });
}

function classify(name: string, status: number | undefined, fault: string | undefined): [ErrorClass, ErrorCode] {
  if (isThrottle(name)) return ['transient', 'throttled'];
  if (DENIALS.has(name)) return ['permanent', 'denied'];
  if (name === 'CredentialsProviderError') return ['configuration', 'unauthorized'];
  if (name === 'ResourceNotFoundException' || name.includes('QueueDoesNotExist') || name.includes('NonExistentQueue')) {
    return ['configuration', 'not-found'];
  }
  if (name === 'TimeoutError') return ['transient', 'timeout'];
  if (fault === 'client' && status !== undefined && status < 500) return ['permanent', 'refused'];
  return status === undefined ? ['transient', 'network'] : ['transient', 'server-error'];
}
