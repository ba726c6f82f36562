import type { Repository, Target } from '../../core/reference.ts';

/** `registry/repository`: the registry is what comes before the first slash. */
export function repositoryText({ registry, repository }: Repository): string {
  return `${registry}/${repository}`;
}

/** `registry/repository:tag` or `registry/repository@digest`, as the ledger stores it. */
export function targetText(target: Target): string {
  return `${repositoryText(target)}${target.tag === undefined ? `@${target.digest}` : `:${target.tag}`}`;
}

/** The reverse of {@link targetText}, for text that it made. */
export function targetFromText(text: string): Target {
  const slash = text.indexOf('/');
  const at = text.indexOf('@', slash);
  const end = at < 0 ? text.lastIndexOf(':') : at;
  const repository = { registry: text.slice(0, slash), repository: text.slice(slash + 1, end) };
  const name = text.slice(end + 1);
  return at < 0 ? { ...repository, tag: name } : { ...repository, digest: name };
}
