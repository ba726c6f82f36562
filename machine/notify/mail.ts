import type { NotifyTarget } from '../../core/model/notify-target.ts';
import type { Notice } from '../../core/notice/notice.ts';
import { noticeText, noticeTitle } from '../../core/notice/notice-text.ts';

const TIMEOUT_MS = 20_000;

/**
 * Sends a notice by mail, over TLS where the server offers it.
 * @throws what nodemailer says: a server that cannot be reached, a login or a recipient that it refuses
 */
export async function sendMail(
  target: Extract<NotifyTarget, { kind: 'mail' }>,
  notice: Notice,
  ca: readonly string[],
): Promise<void> {
  // Half a megabyte that only those who want mail need.
  const { createTransport } = await import('nodemailer');
  const { server, from, to } = target;
  const isTls = server.protocol === 'smtps:';
  const transport = createTransport({
    host: server.hostname.replace(/^\[|\]$/g, ''),
    port: Number(server.port) || (isTls ? 465 : 587),
    secure: isTls,
    auth:
      server.username === ''
        ? undefined
        : { user: decodeURIComponent(server.username), pass: decodeURIComponent(server.password) },
    // Undefined: what Node trusts.
    tls: ca.length > 0 ? { ca: [...ca] } : undefined,
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    await transport.sendMail({ from, to, subject: noticeTitle(notice), text: noticeText(notice) });
  } finally {
    transport.close();
  }
}
