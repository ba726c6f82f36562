import { isIPv6 } from 'node:net';
import { configurationError, type TranshipError } from './errors.ts';
import { findOddCharacter, quote } from './quote.ts';

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

/** A reference as people write it: the repository with what was said of tag and digest. */
export interface Reference extends Repository {
  tag?: string;
  digest?: Digest;
}

/** Docker Hub's canonical name, which is not the host that is asked (`registry-1.docker.io`). */
export const dockerHub = 'docker.io';

/**
 * Other names of Docker Hub: those that Docker writes into its config file and sends requests to, and those that people
 * copy.
 */
const hubAliases = new Set(['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com', 'hub.docker.com']);

// distribution/reference regexp.go. Every alternative starts with another character, so matching takes linear time.
const hostComponent = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
const hostPattern = new RegExp(`^(?:${hostComponent}(?:\\.${hostComponent})*|\\[[a-f0-9:.]+\\])(?::[1-9][0-9]{0,4})?$`);
const repositoryPattern = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const digestPattern = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** Longest `registry` part: a DNS name (RFC 1035, 253) and a port. */
const maxHostLength = 259;
/** distribution/reference, RepositoryNameTotalLengthMax. */
const maxRepositoryLength = 255;
/** No valid reference is longer: host, path, tag, sha512 digest and what is between them. */
const maxReferenceLength = maxHostLength + 1 + maxRepositoryLength + 1 + 128 + 1 + 135;

/** True for a tag by the distribution specification ("Pulling manifests"). */
export function isTag(text: string): boolean {
  return tagPattern.test(text);
}

/** True for a repository path by the distribution specification, as it stands after the registry's name. */
export function isRepositoryName(text: string): boolean {
  return text.length <= maxRepositoryLength && repositoryPattern.test(text);
}

/** True for a normalised registry name: lower-case host or bracketed IPv6 address, with an optional port. */
export function isRegistryName(text: string): boolean {
  if (text.length > maxHostLength || !hostPattern.test(text)) return false;
  const bracket = text.lastIndexOf(']');
  const colon = text.indexOf(':', bracket + 1);
  if (colon !== -1 && Number(text.slice(colon + 1)) > 65_535) return false;
  return bracket === -1 || isIPv6(text.slice(1, bracket));
}

/** True for a sha256 or sha512 digest in its canonical (lower-case) form. */
export function isDigest(text: string): boolean {
  return digestPattern.test(text);
}

/**
 * The two halves of a digest.
 * @throws TranshipError `config-invalid` where it is not a sha256 or sha512 digest
 */
export function parseDigest(text: string): { algorithm: 'sha256' | 'sha512'; hex: string } {
  if (!isDigest(text)) throw invalid(text, digestFault(text), 'a digest is sha256: and 64 lower-case hex digits');
  const algorithm = text.startsWith('sha256:') ? 'sha256' : 'sha512';
  return { algorithm, hex: text.slice(7) };
}

/** What is no image of docker.io/library: a host's name or address, without a port. */
const hostAlone = /^(?:localhost|(?:\d+\.){3}\d+|[a-z\d-]+(?:\.[a-z\d-]+)*\.[a-z]{2,})$/i;

/** Pages that show images, whose addresses people copy: they are not where registries have the images. */
const webPages = [
  { at: /^(?:https?:\/\/)?hub\.docker\.com\/_\//i, registry: 'docker.io/library/' },
  { at: /^(?:https?:\/\/)?hub\.docker\.com\/(?:r|repository\/docker)\//i, registry: 'docker.io/' },
  { at: /^(?:https?:\/\/)?quay\.io\/repository\//i, registry: 'quay.io/' },
  { at: /^(?:https?:\/\/)?gallery\.ecr\.aws\//i, registry: 'public.ecr.aws/' },
];

/** Files and stores of this machine, as skopeo and regctl write them. `oci://` is Helm's way to write a registry. */
const localPlace =
  /^(?:(?:ocidir|file):\/\/|(?:oci|oci-archive|docker-archive|docker-daemon|containers-storage|dir):(?!\/\/|\d+\/)\S*[/:])/i;

/** Whether a text names images on this machine, and not at a registry. */
export function isLocalPlace(text: string): boolean {
  return localPlace.test(text);
}

/** What Helm, Jinja and GitHub's workflows put values into. */
const template = /\{\{.*\}\}|\{%.*%\}/s;

/**
 * Reads a reference as `docker pull` does: a first part with a dot, a colon, or `localhost` is the registry, otherwise
 * the image is Docker Hub's. No default tag is put in.
 *
 * @param text `[registry[:port]/]path[:tag][@digest]`
 * @throws TranshipError `config-invalid`, for anything that is not a reference; nothing else is ever thrown
 * @see https://github.com/distribution/reference normalize.go, splitDockerDomain
 */
export function parseReference(text: string): Reference {
  if (text === '') throw invalid(text, 'it is empty', 'write it as registry/repository:tag');
  if (text.length > maxReferenceLength) throw invalid(text, `it is longer than ${maxReferenceLength} characters`);
  const page = webPages.find(({ at }) => at.test(text));
  if (page !== undefined) {
    const path = text.replace(page.at, '').replace(/\/tags(?:[/?#].*)?$|[?#].*$|\/+$/, '');
    throw invalid(text, 'it is the address of a web page', `write ${page.registry}${path}`);
  }
  if (template.test(text))
    throw invalid(text, 'it is a template that was not filled in', 'render it, and give the result');
  if (isLocalPlace(text)) {
    throw invalid(text, 'it is on this machine', 'name an image of a registry: others are not read or written');
  }
  const scheme = /^[a-z0-9+.-]+:\/\//i.exec(text)?.[0];
  if (scheme !== undefined) throw invalid(text, 'it is a URL', `leave ${scheme} out`);
  const odd = findOddCharacter(text);
  if (odd !== undefined) throw invalid(text, `it has ${odd.name} in it`, odd.mend);
  if (text.includes(' ')) throw invalid(text, 'it has a blank in it', 'take the blank out');

  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) throw invalid(text, digestFault(digest));

  const named = at === -1 ? text : text.slice(0, at);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const bracketed = named.startsWith('[') && !named.includes('/');
  const tag = colon === -1 || bracketed ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !isTag(tag)) throw invalid(text, tagFault(tag));

  const name = tag === undefined ? named : named.slice(0, colon);
  if (hostAlone.test(name)) {
    const port = /^\d+$/.test(tag ?? '') ? `:${tag}` : '';
    throw invalid(text, 'it names a registry and no repository', `write ${name}${port}/REPOSITORY`);
  }
  const { registry, repository } = splitName(name);
  if (!isRegistryName(registry)) throw invalid(text, `${quote(registry)} is not the name of a registry`);
  if (!isRepositoryName(repository)) throw invalid(text, ...repositoryFault(repository));
  return { registry, repository, tag, digest };
}

/**
 * Reads a reference that may have neither tag nor digest.
 * @throws TranshipError `config-invalid`
 */
export function parseRepository(text: string): Repository {
  const { registry, repository, tag, digest } = parseReference(text);
  if (tag !== undefined || digest !== undefined) {
    throw invalid(text, `a repository is wanted here, not a single ${tag === undefined ? 'digest' : 'tag'} of it`);
  }
  return { registry, repository };
}

/**
 * Reads a reference to one manifest: the digest where there is one (a tag beside it says nothing more), else the tag,
 * else `latest`.
 * @throws TranshipError `config-invalid`
 */
export function parseTarget(text: string): Target {
  const { registry, repository, tag, digest } = parseReference(text);
  return digest === undefined ? { registry, repository, tag: tag ?? 'latest' } : { registry, repository, digest };
}

/** `registry/repository`; one text for one repository, so it serves as a key too. */
export function formatRepository({ registry, repository }: Repository): string {
  return `${registry}/${repository}`;
}

/** `registry/repository:tag` or `registry/repository@digest`; one text for one target, so it serves as a key too. */
export function formatTarget(target: Target): string {
  const name = formatRepository(target);
  return target.tag === undefined ? `${name}@${target.digest}` : `${name}:${target.tag}`;
}

/** The registry's canonical name: lower case, and `docker.io` for the other names of Docker Hub. */
export function normaliseRegistry(host: string): string {
  const lower = host.toLowerCase();
  return hubAliases.has(lower) ? dockerHub : lower;
}

/** True where the first part of a name is a host and not a namespace of Docker Hub. */
export function looksLikeRegistry(part: string): boolean {
  return part.includes('.') || part.includes(':') || part.toLowerCase() === 'localhost';
}

function splitName(name: string): Repository {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  if (slash === -1 || !looksLikeRegistry(first)) {
    return { registry: dockerHub, repository: slash === -1 ? `library/${name}` : name };
  }
  const registry = normaliseRegistry(first);
  const path = name.slice(slash + 1);
  return { registry, repository: registry === dockerHub && !path.includes('/') ? `library/${path}` : path };
}

function repositoryFault(repository: string): [what: string, mend?: string] {
  if (repository.length > maxRepositoryLength)
    return [`the repository is longer than ${maxRepositoryLength} characters`];
  const lower = repository.toLowerCase();
  if (lower !== repository && isRepositoryName(lower)) return ['a repository must be lower-case', `write ${lower}`];
  return [
    `${quote(repository)} is not the name of a repository`,
    'use lower-case letters, digits and single . _ - between them, parts divided by /',
  ];
}

function tagFault(tag: string): string {
  if (tag === '') return 'there is a colon with no tag after it';
  if (tag.length > 128) return 'the tag is longer than 128 characters';
  return `${quote(tag)} is not a tag: letters, digits, _ . - are allowed, and no . or - in front`;
}

function digestFault(digest: string): string {
  const algorithm = digest.split(':', 1)[0] ?? '';
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return 'the digest is neither sha256 nor sha512';
  const wanted = algorithm === 'sha256' ? 64 : 128;
  const length = digest.length - 7;
  if (length !== wanted) return `the ${algorithm} digest has ${length} characters where ${wanted} hex digits belong`;
  return `the ${algorithm} digest has characters other than 0-9 and a-f`;
}

function invalid(text: string, what: string, mend?: string): TranshipError {
  return configurationError(`${quote(text, 100)} is not a valid reference: ${what}`, { mend });
}
