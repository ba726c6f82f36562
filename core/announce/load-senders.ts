import { normaliseAuthKey } from '../config/auth-file.ts';
import { checkNode } from '../config/check-node.ts';
import { type Env, expandEnv } from '../config/expand-env.ts';
import { recogniseFile } from '../config/known-files.ts';
import { isEmpty } from '../config/located.ts';
import { parseLocated } from '../config/parse-located.ts';
import { attempt, openFile, report, throwProblems } from '../config/problems.ts';
import { quote } from '../model/quote.ts';
import { isRegistryName, normaliseRegistry } from '../model/reference.ts';
import { dialects } from './dialects.ts';
import { type Authentication, type Sender, secretsOf } from './sender.ts';
import { authKeys, type SenderEntry, senderSchema } from './sender-schema.ts';

/** 128 random bits in base64url; the token may be all that protects the URL. */
const tokenPattern = /^[A-Za-z0-9_.~-]{22,200}$/;
const MIN_SECRET_LENGTH = 16;

/**
 * Reads a webhooks file, in YAML or JSON: a map of names, as they are in the URL, to senders. `$VAR` is put into
 * secrets, tokens and passwords. No message holds a value of these.
 *
 * @throws TranshipError `config-invalid` with everything that is wrong
 * @see docs/webhooks.md "The webhooks file"
 */
export function loadSenders(text: string, options: { file: string; env: Env }): Map<string, Sender> {
  const file = openFile(options.file);
  const root = parseLocated(file, text);
  const senders = new Map<string, Sender>();
  const mend = 'write the name of a sender and below it dialect:';
  const known = root && recogniseFile(root);
  if (known !== undefined && known.kind !== 'webhooks') {
    report(file, 0, `this is ${known.name}, and not a webhooks file`, known.kind === 'tool' ? mend : known.mend);
    throwProblems(file);
  }
  if (root !== undefined && root.kind !== 'map' && !isEmpty(root)) {
    report(file, root.offset, 'a webhooks file is a map', mend);
  }
  for (const [name, { keyOffset, value }] of root?.kind === 'map' ? root.entries : []) {
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) {
      const letters = 'use at most 63 lower-case letters, digits and -';
      report(file, keyOffset, `${quote(name)}: the name is part of a URL`, letters);
    }
    const entry = checkNode(file, { node: value, keyOffset, name: quote(name), isSecret: true }, senderSchema);
    if (entry === undefined) continue;
    const placeOfKey = (key: string): number =>
      (value.kind === 'map' ? value.entries.get(key)?.keyOffset : undefined) ?? keyOffset;
    const before = file.problems.length;
    const expand: Expand = (key, text) =>
      attempt(file, placeOfKey(key), () => expandEnv(text, options.env, { secret: true })) ?? '';
    const sender = toSender(name, entry, expand);
    senders.set(name, sender);
    // What is not known cannot be judged.
    if (file.problems.length > before) continue;
    for (const [key, what, mend] of problemsOf(sender, entry)) {
      report(file, placeOfKey(key), `${quote(name)}: ${what}`, mend);
    }
  }
  throwProblems(file);
  return senders;
}

/** Puts variables into the value of a key. */
type Expand = (key: string, text: string) => string;

function toSender(name: string, entry: SenderEntry, expand: Expand): Sender {
  const registry = entry.registry === undefined ? undefined : normaliseRegistry(entry.registry);
  const repositories = entry.repositories && mapValues(entry.repositories, (place) => normaliseAuthKey(place) ?? place);
  const own = registry ?? dialects[entry.dialect].registry;
  const allow =
    entry.allow ??
    (repositories === undefined ? [own].filter((text) => text !== undefined) : Object.values(repositories));
  return {
    name,
    dialect: entry.dialect,
    urlTokens: listOf(entry.token).map((token) => expand('token', token)),
    auth: authOf(entry, expand),
    registry,
    repositories,
    allow: allow.map((text) => normaliseAuthKey(text) ?? text),
    ownActors: entry.ownActors ?? [],
  };
}

function authOf(entry: SenderEntry, expand: Expand): Authentication {
  const { hmac, bearer, header, basic, google, sns } = entry;
  const secretsAt = (key: string, values: string | string[]) => listOf(values).map((value) => expand(key, value));
  if (hmac !== undefined) return { kind: 'hmac', secrets: secretsAt('hmac', hmac) };
  if (bearer !== undefined) return { kind: 'bearer', secrets: secretsAt('bearer', bearer) };
  if (basic !== undefined) {
    const logins = listOf(basic).map(({ username, password }) => ({ username, password: expand('basic', password) }));
    return { kind: 'basic', logins };
  }
  if (google !== undefined) return { kind: 'google-oidc', ...google };
  if (sns !== undefined) return { kind: 'sns', topics: sns };
  for (const [name, values] of Object.entries(header ?? {})) {
    return { kind: 'header', name: name.toLowerCase(), secrets: secretsAt('header', values) };
  }
  return { kind: 'url' };
}

/** What the schema cannot say, each with the key that it is about. */
function* problemsOf(sender: Sender, entry: SenderEntry): Generator<[key: string, what: string, mend?: string]> {
  const { auth, dialect, registry, urlTokens } = sender;
  const proofs = authKeys.filter((key) => entry[key] !== undefined);
  const [proof = ''] = proofs;
  if (proofs.length > 1) yield [proof, `${proofs.join(' and ')} exclude each other`, 'leave one'];
  if (urlTokens.length === 0 && (auth.kind === 'url' || dialect === 'acr-event-grid')) {
    const mend = 'write token: and at least 22 random letters and digits, and put them into the URL';
    yield ['dialect', 'a token is needed', mend];
  }
  if (urlTokens.some((token) => !tokenPattern.test(token))) {
    yield ['token', 'a token is at least 22 letters, digits and _ . ~ -', 'make one with: openssl rand -hex 16'];
  }
  if (secretsOf(auth).some((secret) => secret.length < MIN_SECRET_LENGTH)) {
    const mend = 'make one with: openssl rand -hex 32';
    yield [proof, `a secret is shorter than ${MIN_SECRET_LENGTH} characters`, mend];
  }
  if (auth.kind === 'hmac' && dialects[dialect].hmac === undefined) {
    yield [proof, `senders of ${dialect} do not sign`, 'write a token: in its place, or header: with what it sends'];
  }
  if (auth.kind === 'google-oidc' && dialect !== 'google') yield [proof, `google: does not go with ${dialect}`];
  if (auth.kind === 'sns' && dialect !== 'ecr') yield [proof, `sns: does not go with ${dialect}`];
  if (registry !== undefined && !isRegistryName(registry)) {
    yield ['registry', `${quote(registry)} is not the name of a registry`, 'write host or host:port alone'];
  }
  const isInside = dialect === 'artifactory' || dialect === 'nexus';
  if (sender.repositories !== undefined && !isInside) {
    yield ['repositories', `repositories: does not go with ${dialect}`];
  }
  if (sender.repositories !== undefined && registry !== undefined) {
    yield ['registry', 'registry and repositories exclude each other', 'leave one'];
  }
  if (registry === undefined && (dialect === 'zot' || (dialect === 'nexus' && sender.repositories === undefined))) {
    yield ['dialect', `${dialect} does not say its own name`, 'write registry: and the name by which rules call it'];
  } else if (sender.allow.length === 0) {
    const mend = 'write allow: and a list of registries or namespaces';
    yield ['dialect', 'it is not said what it may speak for', mend];
  }
  const places = { allow: sender.allow, repositories: Object.values(sender.repositories ?? {}) };
  for (const [key, texts] of Object.entries(places)) {
    for (const place of texts.filter((text) => normaliseAuthKey(text) !== text)) {
      const what = `${quote(place)} is not a registry or a namespace of one`;
      yield [key, what, 'write it like quay.io/coreos, in lower case'];
    }
  }
}

function listOf<Item>(value: Item | Item[] | undefined): Item[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}

function mapValues(map: Record<string, string>, change: (value: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}
