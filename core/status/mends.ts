import type { ErrorCode } from '../model/errors.ts';

/** What happened, and what a person can do about it. Markdown's code marks are the only markup. */
export interface Mend {
  what: string;
  mend: string;
}

/** By error code, word for word as docs/errors.md has it, without its links; a test compares them. */
export const mends: Record<ErrorCode, Mend> = {
  aborted: { what: 'the run was stopped', mend: 'run it again: it goes on where it was' },
  'bad-manifest': {
    what: 'a manifest is not valid, or not what its Content-Type says',
    mend: 'look at the source image; it cannot be copied safely',
  },
  'blob-unknown': {
    what: 'a manifest names a blob that the registry does not have',
    mend: 'the image is damaged at its source, or the destination lost blobs and `redrive` mends it',
  },
  'config-invalid': {
    what: 'a rules, auth or state file cannot be used',
    mend: 'the message names file, line, column and the mend',
  },
  denied: {
    what: 'the login is good, the right is missing (403)',
    mend: 'give the account pull at the source, push at the destination; create the repository where the registry wants that',
  },
  'digest-mismatch': {
    what: 'bytes do not have the digest they were asked by',
    mend: 'a damaged blob or a broken proxy at the registry named',
  },
  'disk-failed': {
    what: 'the disk with the state directory is full or broken',
    mend: 'free some space; what was copied is known or found again, so run it again',
  },
  'lease-held': {
    what: 'on AWS: another copier is uploading the same layer there; in the log only',
    mend: 'nothing: the tag waits until it is there',
  },
  'lease-lost': {
    what: 'another process took over a tag while this one was slow',
    mend: 'nothing: it is done there or tried again here',
  },
  'limit-exceeded': {
    what: 'a manifest over 4 MiB, a list without end, or an image that leads to more than 2,000 manifests',
    mend: 'the registry named is broken, or something else answers in its place',
  },
  network: {
    what: 'refused, reset, name not found, TLS failure, refused by a proxy',
    mend: 'the message says which; compatibility.md has all about certificates and proxies',
  },
  'not-found': {
    what: 'there is no such repository, tag or manifest; or an index names an image that its registry does not have',
    mend: 'check the rule; for an index, push the image again or copy only the platforms that are there; some registries answer so when the login is missing',
  },
  protocol: {
    what: 'an answer outside the distribution specification',
    mend: "often a proxy or a web page in the registry's place",
  },
  refused: { what: 'the registry refuses the request for good', mend: 'its own message says why' },
  'server-error': { what: '5xx', mend: 'try again later' },
  'size-mismatch': { what: 'fewer or more bytes than announced', mend: 'as `digest-mismatch`' },
  stalled: { what: 'hardly a byte for a minute', mend: 'the network or the registry is stuck' },
  'tag-immutable': {
    what: "the destination's tag may not be changed",
    mend: 'delete it there, or copy to another tag',
  },
  throttled: {
    what: '429, a spent quota, or a rule past its budget of pulls',
    mend: 'log in, wait, or raise `pulls`; Docker Hub counts pulls',
  },
  timeout: { what: 'no answer in time', mend: 'as `stalled`' },
  'too-many-deletions': {
    what: 'a rule would delete more tags than its `max`, or its source lists none; it deleted nothing',
    mend: 'look at the tags of the source; if they are right, raise `max`: deletions.md',
  },
  unauthorized: {
    what: 'no login, or one that is not accepted (401)',
    mend: 'put one for the registry named into the auth file, or correct the one that is there',
  },
  unsafe: {
    what: 'credentials or data would go where they must not',
    mend: 'the message names the host and gives the line to add: `--allow-realm HOST` for a token server (who needs it), `insecure: true` for storage without https',
  },
  unsigned: {
    what: 'the rule requires a signature, and the image has none by whom it names',
    mend: 'sign the image, or correct `require` in the rule; the message says why each signature does not count',
  },
  unsupported: { what: 'valid, but this registry or Tranship cannot do it', mend: 'the message says what' },
};
