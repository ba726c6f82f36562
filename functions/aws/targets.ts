import type { Target } from '../../core/model/reference.ts';

/**
 * The reverse of `formatTarget`, for text from the ledger. It takes every part as it is. (The parser for user input would
 * put in defaults, and refuse what an older version accepted.)
 */
export function targetFromText(text: string): Target {
  const slash = text.indexOf('/');
  const at = text.indexOf('@', slash);
  const end = at < 0 ? text.lastIndexOf(':') : at;
  const repository = { registry: text.slice(0, slash), repository: text.slice(slash + 1, end) };
  const name = text.slice(end + 1);
  return at < 0 ? { ...repository, tag: name } : { ...repository, digest: name };
}
