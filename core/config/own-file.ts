import { TranshipError } from '../model/errors.ts';
import { isRegistryName, looksLikeRegistry, normaliseRegistry } from '../model/reference.ts';
import { loginKeys, recogniseFile } from './known-files.ts';
import { isEmpty, type Located, textOf, valueAt } from './located.ts';
import { parseLocated } from './parse-located.ts';
import { openFile } from './problems.ts';

/** Files whose names many programs use: `config.json`, with rules and logins, and `auth.json`, with logins. */
export type SharedName = 'config' | 'auth';

/**
 * Whether a file of such a name is meant for this product, or is another program's. One that is meant and has mistakes
 * in it counts, even in its syntax: they are told of when it is read.
 */
export function looksOwn(name: SharedName, text: string): boolean {
  const root = parse(text);
  if (name === 'auth') {
    if (root?.kind !== 'map') return text.trim() === '' || (root && isEmpty(root)) || hasLoginKey.test(text);
    const auth = valueAt(root, 'auth');
    return root.entries.size === 0 || looksLikeLogins(root) || (auth !== undefined && looksLikeLogins(auth));
  }
  if (root?.kind !== 'map') return hasConfigKey.test(text);
  const [auth, images] = [valueAt(root, 'auth'), valueAt(root, 'images')];
  if (auth !== undefined && (images !== undefined || looksLikeLogins(auth))) return true;
  if (images?.kind === 'map' && [...images.entries].some(([from, { value }]) => isImage(from) || leadsOut(value)))
    return true;
  // Rules in the other formats are read from such a file, too.
  const kind = recogniseFile(root)?.kind;
  const looksLikeRule = () => [...root.entries].some(([from, { value }]) => isImage(from) && leadsOut(value));
  return kind === 'rules' || (kind === 'images' && looksLikeRule());
}

const hasLoginKey = new RegExp(`["']?\\b(?:${loginKeys.join('|')})["']?\\s*:`, 'i');
const hasConfigKey = /^[ \t]*["']?(?:auth|images)["']?[ \t]*:[ \t]*\{?[ \t\r]*$/m;

function parse(text: string): Located | undefined {
  try {
    return parseLocated(openFile(''), text);
  } catch (error) {
    if (error instanceof TranshipError) return undefined;
    throw error;
  }
}

function looksLikeLogins(node: Located): boolean {
  if (node.kind !== 'map') return false;
  return [...node.entries].some(
    ([name, { value }]) =>
      startsWithHost(name.replace(/^https?:\/\//i, '')) ||
      (value.kind === 'map' &&
        [...value.entries.keys()].some((key) => loginKeys.some((known) => known.toLowerCase() === key.toLowerCase()))),
  );
}

/** `quay.io/coreos/etcd`, `nginx:1.27`: more than a word, and no path of a file or a URL. */
function isImage(text: string): boolean {
  return /^[a-z0-9$][^\s/:]*[/:]/i.test(text) && !text.includes('://');
}

/** A destination at a registry, at one that a variable names, or at the default one. */
function leadsOut(to: Located): boolean {
  const first = to.kind === 'list' ? to.items[0] : to;
  if (first === undefined || isEmpty(first)) return true;
  const text = textOf(first);
  return text.startsWith('$') || (text.includes('/') && startsWithHost(text));
}

function startsWithHost(text: string): boolean {
  const [host = ''] = text.split('/');
  return looksLikeRegistry(host) && isRegistryName(normaliseRegistry(host));
}
