import { type ErrorClass, type ErrorCode, rephrase, TranshipError } from '../../model/errors.ts';
import { abortedError } from '../abort.ts';
import { type Call, callError, siteOf } from '../call.ts';
import { certificateMend, isCertificateCode } from './certificate.ts';
import { codeOf } from './error-code.ts';

interface Classification {
  class: ErrorClass;
  code: ErrorCode;
  what: string;
  mend?: string;
}

/**
 * The error of a request that got no response, or lost its connection while the response was read.
 * @param isForeign the registry has named the host, not the user
 */
export function networkError(thrown: unknown, call: Call, host: string, isForeign = false): TranshipError {
  if (call.signal?.aborted) return abortedError(call.signal);
  if (thrown instanceof TranshipError) {
    if (thrown.site.registry !== undefined) return thrown;
    return rephrase(thrown, { message: `${call.operation} ${call.subject}: ${thrown.message}`, ...siteOf(call) });
  }
  const advice = call.client.options.trust.advice(call.repository.registry);
  const { what, mend, ...classification } = classify(thrown, host, advice, call.operation);
  const { registry } = call.repository;
  const leadsNowhere = isForeign && codeOf(thrown) === 'ENOTFOUND';
  return callError(call, what, {
    ...classification,
    mend: leadsNowhere
      ? `${registry} sends its clients to ${host}: mend the address in its settings, or make DNS know the name here`
      : mend,
    cause: thrown,
  });
}

/** True for the error of a request that failed at a proxy: connecting throws errors of ours only there. */
export function isOfProxy(error: TranshipError): boolean {
  return error.cause instanceof TranshipError;
}

/** True where something other than TLS, or nothing at all, is at the port. */
export function isWithoutTls(error: unknown): boolean {
  if (!(error instanceof TranshipError)) return false;
  return ['ECONNREFUSED', 'ERR_SSL_WRONG_VERSION_NUMBER'].includes(codeOf(error.cause));
}

/** True where a connection was closed before a byte of the response came. */
export function isHangUp(thrown: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'HUNG_UP'].includes(codeOf(thrown));
}

/**
 * What a server says to a client certificate that is missing, expired, or issued by somebody else (RFC 8446 section
 * 6.2).
 */
const clientCertificateAlert =
  /^ERR_SSL_.*ALERT_(?:CERTIFICATE_REQUIRED|BAD_CERTIFICATE|CERTIFICATE_(?:UNKNOWN|EXPIRED|REVOKED)|UNKNOWN_CA)$/;

/** Where both sides speak TLS and find nothing in common, or the server knows no such name (RFC 8446 section 6.2). */
const handshakeRefusals = [
  {
    pattern: /_(?:PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL)$/,
    what: 'speaks no version of TLS from 1.2 on',
    mend: 'switch on TLS 1.2 or 1.3 there',
  },
  {
    pattern: /_NO_APPLICATION_PROTOCOL$/,
    what: 'speaks no HTTP/1.1, only HTTP/2',
    mend: 'switch on HTTP/1.1 beside it there (`http/1.1` in its ALPN protocols)',
  },
  {
    pattern: /_UNRECOGNIZED_NAME$/,
    what: 'is a server that does not know this name',
    mend: 'write the registry by a name that the server, or the proxy before it, is set up for',
  },
  {
    pattern: /_(?:HANDSHAKE_FAILURE|INSUFFICIENT_SECURITY|NO_CIPHERS_AVAILABLE|DH_KEY_TOO_SMALL)$/,
    what: 'agrees to none of the ciphers of TLS that are taken here',
    mend: 'switch on those of TLS 1.3 there, or ECDHE with AES-GCM',
  },
];

function classify(thrown: unknown, host: string, trustAdvice: string, operation: string): Classification {
  const code = codeOf(thrown);
  if (code === 'BODY_STALLED') {
    return { class: 'transient', code: 'stalled', what: `${host} stopped in the middle of its answer` };
  }
  if (code === 'NOTHING_TAKEN') {
    return { class: 'transient', code: 'stalled', what: `${host} takes no more bytes` };
  }
  if (code === 'LOOKUP_TIMEOUT') {
    return {
      class: 'transient',
      code: 'timeout',
      what: `DNS gave no answer for ${host} in time`,
      mend: 'see whether the DNS server answers, and whether the name needs a VPN or a proxy',
    };
  }
  if (code === 'HEAD_TIMEOUT' || code === 'CONNECT_TIMEOUT') {
    return { class: 'transient', code: 'timeout', what: `${host} gave no answer in time` };
  }
  if (code === 'WRONG_LENGTH') {
    return { class: 'transient', code: 'size-mismatch', what: 'the body is not as long as announced' };
  }
  if (code === 'NOT_HTTP') {
    const why = thrown instanceof Error ? thrown.message : '';
    return { class: 'transient', code: 'protocol', what: `${host} gave an answer that is not valid HTTP: ${why}` };
  }
  if (code.startsWith('ERR_OSSL_')) {
    return {
      class: 'configuration',
      code: 'config-invalid',
      what: 'the `ca`, `cert` or `key` of its auth entry cannot be used',
      mend: 'give PEM text, with a key that belongs to the certificate and has no passphrase',
    };
  }
  if (isCertificateCode(code)) {
    return {
      class: 'permanent',
      code: 'network',
      what: `the certificate of ${host} is not accepted: ${thrown instanceof Error ? thrown.message : ''} (${code})`,
      mend: certificateMend(code, host, trustAdvice),
    };
  }
  if (code === 'ENOTFOUND') {
    return {
      class: 'permanent',
      code: 'network',
      what: `there is no host ${host}: DNS does not know the name (ENOTFOUND)`,
      mend: 'check the spelling of the registry, and whether its name needs a VPN, a proxy or another DNS server',
    };
  }
  if (clientCertificateAlert.test(code)) {
    return {
      class: 'permanent',
      code: 'network',
      what: `${host} wants a client certificate that it knows (${code})`,
      mend: 'name it as `cert` and `key` in the auth entry of the registry, or put both into certs.d',
    };
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    const refusal = handshakeRefusals.find(({ pattern }) => pattern.test(code));
    return {
      class: 'permanent',
      code: 'network',
      what: `${host} ${refusal?.what ?? 'does not speak TLS as it should'} (${code})`,
      mend: refusal?.mend ?? `if it speaks plain http, write ${host}: { insecure: true } into the auth file`,
    };
  }
  if (code === 'HUNG_UP') {
    // With TLS 1.3 a client learns only after its handshake that the server wants a certificate, and mostly just by
    // this.
    const mend =
      'see whether a firewall or a proxy stands between, or whether the registry wants a client certificate ' +
      '(`cert` and `key` in its auth entry)';
    const what = `${host} closed the connection without an answer`;
    return { class: 'transient', code: 'network', what, ...(operation === 'ping' && { mend }) };
  }
  const message = thrown instanceof Error && code === '' ? thrown.message : code;
  return { class: 'transient', code: 'network', what: `no connection to ${host} (${message})` };
}
