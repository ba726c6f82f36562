import { X509Certificate } from 'node:crypto';
import { redactText } from '../redact.ts';

/** Node's codes for a certificate that is not accepted: OpenSSL's X509_V_ERR names, and its own. */
const certificateCodes =
  /^(?:CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_|UNSPECIFIED$|PATH_LENGTH|ERR_TLS_CERT_ALTNAME_)/;
/** The authority is missing here, or the peer does not send the certificates between. */
const unknownAuthority = /^(?:UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF)|SELF_SIGNED_CERT|DEPTH_ZERO_)/;

export function isCertificateCode(code: string): boolean {
  return certificateCodes.test(code);
}

/**
 * An error of a TLS handshake with a message that says what is wrong with the certificate; other errors as they are.
 * @param shown the certificate of the peer, DER
 * @param host what it was asked to be
 */
export function explainCertificate(error: Error, shown: Buffer | undefined, host: string): Error {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (!isCertificateCode(code) || shown === undefined) return error;
  // What OpenSSL has no name for: a key that is too short, a signature that is too weak.
  const what = code === 'UNSPECIFIED' ? error.message : whatIsWrong(code, new X509Certificate(shown), host);
  return new Error(redactText(what, 400), { cause: error });
}

function whatIsWrong(code: string, certificate: X509Certificate, host: string): string {
  const issuer = nameOf(certificate.issuer);
  switch (code) {
    case 'CERT_HAS_EXPIRED': {
      const isLeaf = certificate.validToDate.getTime() < Date.now();
      return isLeaf
        ? `it expired on ${day(certificate.validToDate)}`
        : `a certificate of its issuer ${issuer} has expired`;
    }
    case 'CERT_NOT_YET_VALID':
      return `it is not valid before ${day(certificate.validFromDate)}; this machine's clock says ${day(new Date())}`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `it is not for ${host}, but for ${namesOf(certificate)}`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return `it is signed by itself (${nameOf(certificate.subject)}), not by an authority that is trusted here`;
    default:
      return unknownAuthority.test(code)
        ? `it is issued by ${issuer}, and no authority that is trusted here stands behind it`
        : `it is issued by ${issuer} for ${namesOf(certificate)}`;
  }
}

/**
 * What a user can do about a certificate that is not accepted.
 * @param advice where an authority can be named
 */
export function certificateMend(code: string, host: string, advice: string): string {
  if (code === 'CERT_HAS_EXPIRED') return `renew the certificate of ${host}, or set this machine's clock`;
  if (code === 'CERT_NOT_YET_VALID') return `set this machine's clock, or wait`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HOSTNAME_MISMATCH') {
    return `write the registry by a name that its certificate has, or give ${host} a certificate for its name`;
  }
  if (!unknownAuthority.test(code)) return `give ${host} another certificate`;
  return advice;
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** The common name, else the organisation, of a distinguished name with one attribute a line. */
function nameOf(distinguished: string): string {
  const [, name] = /^CN=(.+)$/m.exec(distinguished) ?? /^O=(.+)$/m.exec(distinguished) ?? [];
  return JSON.stringify(name ?? distinguished.replaceAll('\n', ', '));
}

function namesOf({ subjectAltName, subject }: X509Certificate): string {
  const names = subjectAltName?.split(', ').map((name) => name.replace(/^(?:DNS|IP Address):/, ''));
  if (names === undefined) return `${nameOf(subject)}, without a subjectAltName`;
  return names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
}
