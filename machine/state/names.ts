import type { Target } from '../../core/model/reference.ts';

/** The tag or digest of a target, as in the `name` columns. */
export function nameOf(target: Target): string {
  return target.tag ?? target.digest;
}

/** The target of a `name` column: only digests hold a colon. */
export function targetOf(registry: string, repository: string, name: string): Target {
  return name.includes(':') ? { registry, repository, digest: name } : { registry, repository, tag: name };
}
