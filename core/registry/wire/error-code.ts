/** The code of an error of Node's or of the wire's; of its cause, or of the first of several attempts. */
export function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  if (thrown instanceof AggregateError) return codeOf(thrown.errors[0]);
  const { code } = thrown as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : codeOf(thrown.cause);
}

/** Why a connection failed, in a few words. */
export function reasonOf(thrown: unknown): string {
  const { code, message } = thrown as NodeJS.ErrnoException;
  if (code === 'CONNECT_TIMEOUT') return 'no answer in time';
  if (code === 'LOOKUP_TIMEOUT') return 'DNS gave no answer in time';
  return code ?? message;
}
