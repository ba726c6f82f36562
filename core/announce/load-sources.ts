import { Ajv } from 'ajv';
import { isRegistryName, normaliseRegistry } from '../reference.ts';
import { normaliseAuthKey } from '../rules/auth-file.ts';
import { type Env, expandEnv } from '../rules/expand-env.ts';
import { parseLocated, toPlain } from '../rules/located.ts';
import { attempt, openSource, quote, report, throwProblems } from '../rules/problems.ts';
import { dialects } from './dialects.ts';
import { type Authentication, secretsOf, type WebhookSource } from './source.ts';
import { authKeys, type SourceEntry, sourceSchema } from './source-schema.ts';

const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile<SourceEntry>(sourceSchema);

/** 128 random bits in base64url; the token may be all that protects the URL. */
const tokenPattern = /^[A-Za-z0-9_.~-]{22,200}$/;
const MIN_SECRET_LENGTH = 16;

/**
 * Reads a webhooks file, in YAML or JSON: a map of names, as they are in the URL, to senders. `$VAR` is put into secrets,
 * tokens and passwords. No message holds a value of these.
 *
 * @throws TranshipError `config-invalid` with everything that is wrong
 * @see docs/webhooks.md "The webhooks file"
 */
export function loadWebhookSources(text: string, options: { file: string; env: Env }): Map<string, WebhookSource> {
  const file = openSource(options.file, text);
  const { root } = parseLocated(file, text);
  const sources = new Map<string, WebhookSource>();
  if (root !== undefined && root.kind !== 'map') {
    report(file, root.offset, 'a webhooks file is a map', 'write the name of a sender and below it dialect:');
  }
  for (const [name, { keyOffset, value }] of root?.kind === 'map' ? root.entries : []) {
    const wrong = (what: string, mend?: string): void => report(file, keyOffset, `${quote(name)}: ${what}`, mend);
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) {
      wrong('the name is part of a URL', 'use at most 63 lower-case letters, digits and -');
    }
    const entry = toPlain(value);
    if (!validate(entry)) {
      for (const { instancePath, message, params } of validate.errors ?? []) {
        const key = (params as { additionalProperty?: string }).additionalProperty;
        wrong(
          `${instancePath.slice(1).replaceAll('/', '.')} ${message}${key === undefined ? '' : ` (${quote(key)})`}`.trim(),
        );
      }
      continue;
    }
    const expand = (secret: string): string =>
      attempt(file, keyOffset, () => expandEnv(secret, options.env, { secret: true })) ?? '';
    const source = toSource(name, entry, expand);
    for (const [what, mend] of problemsOf(source, entry)) wrong(what, mend);
    sources.set(name, source);
  }
  throwProblems(file);
  return sources;
}

function toSource(name: string, entry: SourceEntry, expand: (secret: string) => string): WebhookSource {
  const registry = entry.registry === undefined ? undefined : normaliseRegistry(entry.registry);
  const repositories = entry.repositories && mapValues(entry.repositories, (place) => normaliseAuthKey(place) ?? place);
  const own = registry ?? dialects[entry.dialect].registry;
  const allow =
    entry.allow ??
    (repositories === undefined ? [own].filter((text) => text !== undefined) : Object.values(repositories));
  return {
    name,
    dialect: entry.dialect,
    urlTokens: listOf(entry.token).map(expand),
    auth: authOf(entry, expand),
    ...(registry !== undefined && { registry }),
    ...(repositories !== undefined && { repositories }),
    allow: allow.map((text) => normaliseAuthKey(text) ?? text),
    ownActors: entry.ownActors ?? [],
  };
}

function authOf(entry: SourceEntry, expand: (secret: string) => string): Authentication {
  const { hmac, bearer, header, basic, google, sns } = entry;
  if (hmac !== undefined) return { kind: 'hmac', secrets: listOf(hmac).map(expand) };
  if (bearer !== undefined) return { kind: 'bearer', secrets: listOf(bearer).map(expand) };
  if (basic !== undefined) {
    const logins = listOf(basic).map(({ username, password }) => ({ username, password: expand(password) }));
    return { kind: 'basic', logins };
  }
  if (google !== undefined) return { kind: 'google-oidc', ...google };
  if (sns !== undefined) return { kind: 'sns', topics: sns };
  for (const [name, values] of Object.entries(header ?? {})) {
    return { kind: 'header', name: name.toLowerCase(), secrets: listOf(values).map(expand) };
  }
  return { kind: 'url' };
}

/** What the schema cannot say. */
function* problemsOf(source: WebhookSource, entry: SourceEntry): Generator<[what: string, mend?: string]> {
  const { auth, dialect, registry, urlTokens } = source;
  const proofs = authKeys.filter((key) => entry[key] !== undefined);
  if (proofs.length > 1) yield [`${proofs.join(' and ')} exclude each other`, 'leave one'];
  if (urlTokens.length === 0 && (auth.kind === 'url' || dialect === 'acr-event-grid')) {
    yield ['a token is needed', 'write token: and at least 22 random letters and digits, and put them into the URL'];
  }
  if (urlTokens.some((token) => !tokenPattern.test(token))) {
    yield ['a token is at least 22 letters, digits and _ . ~ -', 'make one with: openssl rand -hex 16'];
  }
  if (secretsOf(auth).some((secret) => secret.length < MIN_SECRET_LENGTH)) {
    yield [`a secret is shorter than ${MIN_SECRET_LENGTH} characters`, 'make one with: openssl rand -hex 32'];
  }
  if (auth.kind === 'hmac' && dialects[dialect].hmac === undefined) yield [`senders of ${dialect} do not sign`];
  if (auth.kind === 'google-oidc' && dialect !== 'google') yield [`google: does not go with ${dialect}`];
  if (auth.kind === 'sns' && dialect !== 'ecr') yield [`sns: does not go with ${dialect}`];
  if (registry !== undefined && !isRegistryName(registry)) yield ['registry: is not the name of a registry'];
  const isInside = dialect === 'artifactory' || dialect === 'nexus';
  if (source.repositories !== undefined && !isInside) yield [`repositories: does not go with ${dialect}`];
  if (source.repositories !== undefined && registry !== undefined)
    yield ['registry and repositories exclude each other'];
  if (registry === undefined && (dialect === 'zot' || (dialect === 'nexus' && source.repositories === undefined))) {
    yield [`${dialect} does not say its own name`, 'write registry: and the name by which rules call it'];
  }
  const places = [...source.allow, ...Object.values(source.repositories ?? {})];
  for (const place of places.filter((text) => normaliseAuthKey(text) !== text)) {
    yield [`${quote(place)} is not a registry or a namespace of one`, 'write it like quay.io/coreos'];
  }
  if (source.allow.length === 0) {
    yield ['it is not said what it may speak for', 'write allow: and a list of registries or namespaces'];
  }
}

function listOf<Item>(value: Item | Item[] | undefined): Item[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}

function mapValues(map: Record<string, string>, change: (value: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}
