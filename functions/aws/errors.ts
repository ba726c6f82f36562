import { type ErrorClass, type ErrorCode, TranshipError } from '../../core/model/errors.ts';

const THROTTLES = new Set([
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'ThrottlingException',
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

/**
 * A failure of an AWS API call as a TranshipError: throttles, server errors and lost connections are transient (the
 * SDK has retried them already), refusals are permanent, and a resource or credentials that are not there are configuration.
 *
 * @param operation what was being done, for people: `write ledger`
 */
export function fromAws(operation: string, thrown: unknown): TranshipError {
  if (thrown instanceof TranshipError) return thrown;
  if (thrown instanceof SyntaxError) {
    // An answer that is no JSON: the parser's message quotes it, and it may hold a secret or a token.
    return new TranshipError(`${operation}: the answer cannot be read`, {
      class: 'transient',
      code: 'protocol',
      operation,
    });
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { $metadata, $fault } = error as { $metadata?: { httpStatusCode?: number }; $fault?: string };
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
  if (THROTTLES.has(name)) return ['transient', 'throttled'];
  if (DENIALS.has(name)) return ['permanent', 'denied'];
  if (name === 'CredentialsProviderError') return ['configuration', 'unauthorized'];
  if (name === 'ResourceNotFoundException' || name.includes('QueueDoesNotExist') || name.includes('NonExistentQueue')) {
    return ['configuration', 'not-found'];
  }
  if (name === 'TimeoutError') return ['transient', 'timeout'];
  if (fault === 'client' && status !== undefined && status < 500) return ['permanent', 'refused'];
  return status === undefined ? ['transient', 'network'] : ['transient', 'server-error'];
}
