/** One page of a vendor's list of tags. What it has of names and digests is not checked yet. */
export interface TagPage {
  digests: Array<readonly [tag: unknown, digest: unknown]>;
  /** Where the next page begins, in the vendor's own terms; undefined for the last one. */
  next: string | undefined;
}

/** One page of a list of tags or repositories. What it has of names is not checked yet. */
export interface ListPage {
  names: unknown[];
  /** Where the next page begins, in the list's own terms; undefined for the last one. */
  next: string | undefined;
  /** Where more may be although nothing says so; see `afterFullPage`. */
  guess?: string | undefined;
}
