import { errors } from 'undici';

/** The code of an error of Node's; of its cause, or of the first of several attempts. */
export function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  if (thrown instanceof AggregateError) return codeOf(thrown.errors[0]);
  const { code } = thrown as NodeJS.ErrnoException;
  if (typeof code === 'string' && code !== 'UND_ERR_SOCKET') return code;
  return codeOf(thrown.cause) || code || '';
}

/** Why a connection failed, in a few words. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof errors.ConnectTimeoutError) return 'no answer in time';
  const { code, message } = thrown as NodeJS.ErrnoException;
  return code ?? message;
}
