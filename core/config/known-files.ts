import { quote } from '../model/quote.ts';
import { type Located, textOf, valueAt } from './located.ts';

/** A file that is in good order, but not the one that was asked for. */
export interface KnownFile {
  /** One of this product's own files, rules of another tool, or something else. */
  kind: 'rules' | 'images' | 'config' | 'logins' | 'webhooks' | 'tool' | 'other';
  /** As messages call it: `a file of regsync`. */
  name: string;
  /** What to do with it; for another tool's, how its rules are written here. */
  mend: string;
}

type Recogniser = (root: Located) => KnownFile | undefined;

const line = 'source: destination';

const recognisers: Recogniser[] = [
  (root) => when(hasMap(root, 'sops'), 'other', 'a file encrypted by SOPS', 'decrypt it first: sops decrypt'),
  (root) =>
    when(
      hasMap(root, 'auths') || hasMap(root, 'credHelpers'),
      'other',
      "Docker's config.json",
      'leave it where Docker has it: its logins are read there',
    ),
  kubernetes,
  (root) => when(hasText(root, 'version') && hasList(root, 'rules'), 'rules', 'tranship.yaml', 'give it with --rules'),
  (root) =>
    when(
      hasMap(root, 'auth') && hasMap(root, 'images'),
      'config',
      "image-syncer's config file",
      'give it with --config',
    ),
  (root) =>
    when(
      hasList(root, 'sync') &&
        itemsOf(root, 'sync').every((item) => hasText(item, 'source') && hasText(item, 'target')),
      'tool',
      'a file of regsync',
      `write each source and target under sync: as ${line}, and creds: as an auth file`,
    ),
  (root) =>
    when(
      itemsOf(root, 'tasks').some((item) => hasList(item, 'mappings')),
      'tool',
      'a file of dregsy',
      `write each mapping as ${line}, with the registries in front, and the logins as an auth file`,
    ),
  (root) =>
    when(
      [root, ...listed(root)].some((policy) => hasMap(policy, 'src_registry') || hasMap(policy, 'dest_registry')),
      'tool',
      'a replication policy of Harbor',
      `write each filtered repository as ${line}, as registry/project/name: registry/project/name`,
    ),
  (root) =>
    when(
      hasMap(root, 'target') && itemsOf(root, 'images').some((item) => hasText(item, 'repository')),
      'tool',
      'a file of sinker',
      `write each of images: as ${line}, as host/repository:tag: destination`,
    ),
  (root) =>
    when(
      childrenOf(valueAt(root, 'services')).some((service) => has(service, 'image') || has(service, 'build')),
      'tool',
      'a file of Docker Compose',
      `write each image: of it as ${line}`,
    ),
  (root) =>
    when(
      childrenOf(root).some((registry) => skopeoKeys.some((key) => has(registry, key)) || hasMap(registry, 'images')),
      'tool',
      'a file of skopeo sync',
      `write each repository with its registry as ${line}, as quay.io/coreos/etcd:v1,v2: destination, and credentials: as an auth file`,
    ),
  (root) =>
    when(
      every(childrenOf(root), (entry) => has(entry, 'dialect')),
      'webhooks',
      'a webhooks file',
      'give it with --webhooks',
    ),
  (root) =>
    when(
      every(childrenOf(root), (entry) => loginKeys.some((key) => has(entry, key))),
      'logins',
      'a file of logins',
      'give it with --auth',
    ),
  listOfPairs,
  (root) =>
    when(
      every(childrenOf(root), isDestination) &&
        childrenOf(root).some((to) => textOf(to.kind === 'list' ? to.items[0] : to).includes('/')) &&
        !loginKeys.some((key) => has(root, key)),
      'images',
      'an images file',
      'give it with --images',
    ),
];

const skopeoKeys = ['images-by-tag-regex', 'images-by-semver', 'tls-verify', 'cert-dir'];
/** Keys of a login in an auth file by which it is known. */
export const loginKeys = ['username', 'password', 'identityToken', 'registryToken', 'insecure', 'provider'];

/** What the file is, where its keys tell; undefined for any other. */
export function recogniseFile(root: Located): KnownFile | undefined {
  for (const recogniser of recognisers) {
    const known = recogniser(root);
    if (known !== undefined) return known;
  }
  return undefined;
}

function when(fits: boolean, kind: KnownFile['kind'], name: string, mend: string): KnownFile | undefined {
  return fits ? { kind, name, mend } : undefined;
}

function kubernetes(root: Located): KnownFile | undefined {
  if (!hasText(root, 'apiVersion') || !hasText(root, 'kind')) return undefined;
  const kind = textOf(valueAt(root, 'kind'));
  const group = textOf(valueAt(root, 'apiVersion')).split('/')[0] ?? '';
  const tool = [
    ['imgpkg.carvel.dev', 'imgpkg'],
    ['content.hauler.cattle.io', 'hauler'],
    ['mirror.openshift.io', 'oc-mirror'],
  ].find(([of]) => of === group);
  const name = tool === undefined ? `a Kubernetes manifest (kind ${quote(kind)})` : `a file of ${tool[1]}`;
  return { kind: 'tool', name, mend: `write each image of it as ${line}` };
}

const sourceKeys = ['source', 'src', 'from', 'image', 'upstream', 'repository', 'name'];
const destinationKeys = ['destination', 'destinations', 'dest', 'dst', 'target', 'to'];

/** `- source: a` and `destination: b` below it, as people would write rules who have not seen the format. */
function listOfPairs(root: Located): KnownFile | undefined {
  const lists = [listed(root), itemsOf(root, 'images'), itemsOf(root, 'rules')];
  const first = lists.map(([item]) => item).find((item) => item?.kind === 'map');
  const from = sourceKeys.find((key) => first && hasText(first, key));
  const to = destinationKeys.find((key) => first && has(first, key));
  if (first === undefined || from === undefined) return undefined;
  if (from === 'from') {
    if (root.kind === 'map' || to !== 'to') return undefined;
    return { kind: 'tool', name: 'a list of rules', mend: 'put version: 1 and rules: above it' };
  }
  const example = `${textOf(valueAt(first, from))}: ${textOf(to === undefined ? undefined : valueAt(first, to)) || 'destination'}`;
  return {
    kind: 'tool',
    name: `a list of maps with ${to === undefined ? from : `${from} and ${to}`}`,
    mend: `write it as a map, with lines such as ${quote(example)}`,
  };
}

function isDestination(node: Located): boolean {
  return (
    (node.kind === 'scalar' && typeof node.value === 'string') || listed(node).some((item) => item.kind === 'scalar')
  );
}

function every(nodes: Located[], holds: (node: Located) => boolean): boolean {
  return nodes.length > 0 && nodes.every(holds);
}

function listed(node: Located): Located[] {
  return node.kind === 'list' ? node.items : [];
}

function itemsOf(root: Located, key: string): Located[] {
  const value = valueAt(root, key);
  return value === undefined ? [] : listed(value);
}

function childrenOf(node: Located | undefined): Located[] {
  return node?.kind === 'map' ? [...node.entries.values()].map(({ value }) => value) : [];
}

function has(node: Located, key: string): boolean {
  return valueAt(node, key) !== undefined;
}

function hasText(node: Located, key: string): boolean {
  return textOf(valueAt(node, key)) !== '';
}

function hasList(node: Located, key: string): boolean {
  return valueAt(node, key)?.kind === 'list';
}

function hasMap(node: Located, key: string): boolean {
  return valueAt(node, key)?.kind === 'map';
}
