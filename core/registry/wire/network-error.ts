import { errors } from 'undici';
import { type ErrorClass, type ErrorCode, rephrase, TranshipError } from '../../model/errors.ts';
import { abortedError } from '../abort.ts';
import { type Call, callError, siteOf } from '../call.ts';

interface Classification {
  class: ErrorClass;
  code: ErrorCode;
  what: string;
  mend?: string;
}

const ownCa = "give the registry's certificate authority as `ca` in its auth entry, or set `insecure: true` there";

/** Node's codes for a certificate that is not accepted: OpenSSL's X509_V_ERR names, and its own. */
const certificateCodes =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_CERT_ALTNAME_INVALID)/;

/** The error of a request that got no response, or lost its connection while the response was read. */
export function networkError(thrown: unknown, call: Call, host: string): TranshipError {
  if (call.signal?.aborted) return abortedError(call.signal);
  if (thrown instanceof TranshipError) {
    if (thrown.site.registry !== undefined) return thrown;
    return rephrase(thrown, { message: `${call.operation} ${call.subject}: ${thrown.message}`, ...siteOf(call) });
  }
  const { what, ...classification } = classify(thrown, host);
  return callError(call, what, { ...classification, cause: thrown });
}

/** Did the peer turn out to speak plain http, or not to be there at all? Then `insecure` allows another try. */
export function isNoTls(thrown: unknown): boolean {
  const code = codeOf(thrown);
  return ['ECONNREFUSED', 'ECONNRESET', 'EPROTO', 'UND_ERR_SOCKET'].includes(code) || code.startsWith('ERR_SSL_');
}

function classify(thrown: unknown, host: string): Classification {
  const code = codeOf(thrown);
  if (thrown instanceof errors.BodyTimeoutError) {
    return { class: 'transient', code: 'stalled', what: `${host} stopped in the middle of its answer` };
  }
  if (thrown instanceof errors.HeadersTimeoutError || thrown instanceof errors.ConnectTimeoutError) {
    return { class: 'transient', code: 'timeout', what: `${host} gave no answer in time` };
  }
  if (thrown instanceof errors.RequestContentLengthMismatchError) {
    return { class: 'transient', code: 'size-mismatch', what: 'the body is not as long as announced' };
  }
  if (thrown instanceof errors.HeadersOverflowError || code.startsWith('HPE_')) {
    return { class: 'transient', code: 'protocol', what: `${host} gave an answer that is not valid HTTP` };
  }
  if (code.startsWith('ERR_OSSL_')) {
    return {
      class: 'configuration',
      code: 'config-invalid',
      what: 'the `ca`, `cert` or `key` of its auth entry cannot be used',
      mend: 'give PEM text, with a key that belongs to the certificate and has no passphrase',
    };
  }
  if (certificateCodes.test(code)) {
    return {
      class: 'permanent',
      code: 'network',
      what: `the certificate of ${host} is not accepted (${code})`,
      mend: ownCa,
    };
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return {
      class: 'permanent',
      code: 'network',
      what: `${host} does not speak TLS as it should (${code})`,
      mend: 'if it speaks plain http, set `insecure: true` in the auth entry of the registry',
    };
  }
  const message = thrown instanceof Error && code === '' ? thrown.message : code;
  return { class: 'transient', code: 'network', what: `no connection to ${host} (${message})` };
}

/** The code of an error, of its cause, or of the first of several attempts (`AggregateError` of happy eyeballs). */
function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  if (thrown instanceof AggregateError) return codeOf(thrown.errors[0]);
  const code = (thrown as NodeJS.ErrnoException).code;
  if (typeof code === 'string' && code !== 'UND_ERR_SOCKET') return code;
  return codeOf(thrown.cause) || code || '';
}
