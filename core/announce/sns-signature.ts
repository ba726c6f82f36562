import { verify, X509Certificate } from 'node:crypto';
import { TranshipError } from '../model/errors.ts';
import { type SnsMessage, snsUrl } from './sns-message.ts';

/** Gives the PEM of a certificate; called with URLs of SNS only. Throws transient where it cannot be had now. */
export type CertificateFetcher = (url: URL) => Promise<string>;

/** By `SignatureVersion`. */
const algorithms = new Map([
  ['1', 'sha1'],
  ['2', 'sha256'],
]);

/**
 * Checks SNS's signature with the certificate that the message names, which must be at SNS's own host: anybody can sign
 * with a certificate at any other. Anybody with an AWS account can have SNS sign, too: the caller checks the topic.
 *
 * @throws TranshipError `unauthorized`; what the fetcher throws
 * @see https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
 */
export async function verifySnsSignature(
  message: SnsMessage,
  deps: { fetchCertificate: CertificateFetcher; now: () => number },
): Promise<void> {
  const algorithm = algorithms.get(message.signatureVersion ?? '');
  const url = snsUrl(message.certificateUrl);
  if (algorithm === undefined || message.signature === undefined) throw refused('the message is not signed');
  if (url === undefined || !/^\/[A-Za-z0-9_-]{1,100}\.pem$/.test(url.pathname) || url.search !== '') {
    throw refused('the certificate is not one of SNS');
  }
  const certificate = readCertificate(await deps.fetchCertificate(url));
  const now = deps.now();
  const isInForce = certificate.validFromDate.getTime() <= now && now <= certificate.validToDate.getTime();
  if (!isInForce) throw refused('the certificate is not in force');
  const signature = Buffer.from(message.signature, 'base64');
  if (!verify(algorithm, Buffer.from(signedText(message)), certificate.publicKey, signature)) {
    throw refused('the signature is wrong');
  }
}

/** The fields in the order that SNS signs them, each name and value on a line of its own. */
function signedText(message: SnsMessage): string {
  const { text, id, subject, subscribeUrl, timestamp, token, topic, type } = message;
  const fields =
    type === 'Notification'
      ? { Message: text, MessageId: id, Subject: subject, Timestamp: timestamp, TopicArn: topic, Type: type }
      : {
          Message: text,
          MessageId: id,
          SubscribeURL: subscribeUrl,
          Timestamp: timestamp,
          Token: token,
          TopicArn: topic,
          Type: type,
        };
  return Object.entries(fields)
    .map(([name, value]) => (value === undefined ? '' : `${name}\n${value}\n`))
    .join('');
}

function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    // A proxy's page in its place: it may be the certificate next time.
    throw new TranshipError('what SNS gave is not a certificate', { class: 'transient', code: 'protocol' });
  }
}

function refused(what: string): TranshipError {
  return new TranshipError(what, { class: 'permanent', code: 'unauthorized', operation: 'verify push event' });
}
