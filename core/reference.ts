/** `algorithm:hex`, validated; sha256 or sha512. */
export type Digest = string;

/** A repository of a registry, normalised: `docker.io` for all names of Docker Hub, `library/` put in. */
export interface Repository {
  /** Host with optional port, lower case: `docker.io`, `127.0.0.1:5000`, `[::1]:5000`. */
  registry: string;
  /** Path in the registry: `library/nginx`. */
  repository: string;
}

/** One manifest of a repository: by tag, or by digest where there is no tag. Exactly one of the two is set. */
export type Target = Repository & ({ tag: string; digest?: never } | { digest: Digest; tag?: never });
