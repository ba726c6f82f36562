import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseAllDocuments,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import { placeOf, report, type SourceFile, throwProblems } from './problems.ts';

/** A value of a YAML or JSON file with its offset in the text. Aliases and merge keys are resolved. */
export type Located = (
  | { kind: 'scalar'; value: unknown; text: string }
  | { kind: 'list'; items: Located[] }
  | { kind: 'map'; entries: Map<string, LocatedEntry> }
) & {
  offset: number;
  /** How many values this is when written out. */
  weight: number;
};

export interface LocatedEntry {
  keyOffset: number;
  value: Located;
}

/** Rule files of tens of thousands of images are a few MiB; more is a mistake or an attack. */
const maxTextLength = 8 * 1024 * 1024;
/** Values in one file with aliases written out: a few lines of aliases can stand for billions ("billion laughs"). */
const maxValues = 1_000_000;
const maxDepth = 50;

/**
 * Parses YAML 1.2 or JSON. Scalars keep their text as written, so `1.10` as a tag stays `1.10`.
 *
 * What is wrong with the syntax is told without a piece of the text, which may hold a password.
 * @returns undefined for a file with no value in it. A key that is there twice, or an alias without an anchor, is noted in `source`
 *   and left out, so that the caller can find what else is wrong
 * @throws TranshipError `config-invalid` where the text is not YAML or is too large
 */
export function parseLocated(source: SourceFile, text: string): { root: Located | undefined; warnings: string[] } {
  if (text.length > maxTextLength) {
    throw configurationError(`${source.file} is larger than ${maxTextLength / 1024 / 1024} MiB`, {
      place: { file: source.file },
      mend: 'divide it',
    });
  }
  const documents = parseYaml(source, text);
  const [first, second] = documents;
  const warnings = second === undefined ? [] : [`${source.file}: only the first YAML document of the file is read`];
  const root = first?.contents ? locate(source, first) : undefined;
  return { root, warnings };
}

/** Plain data of a located value, for validation by a schema. */
export function toPlain(node: Located): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map(toPlain);
    case 'map':
      return Object.fromEntries([...node.entries].map(([key, entry]) => [key, toPlain(entry.value)]));
  }
}

function parseYaml(source: SourceFile, text: string): Document[] {
  try {
    const documents = parseAllDocuments(text, {
      lineCounter: source.lines,
      prettyErrors: false,
      uniqueKeys: false,
      logLevel: 'silent',
    }) as Document[];
    // A source that lists many tags is a long key, and nothing is ambiguous in reading it.
    const errors = (documents[0]?.errors ?? []).filter((error) => error.code !== 'KEY_OVER_1024_CHARS');
    // One mistake in the syntax makes many more behind it.
    for (const error of errors.slice(0, 3)) report(source, error.pos[0], ...syntaxFault(error));
    throwProblems(source);
    return documents;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    report(source, 0, 'the file is nested too deeply');
    throwProblems(source);
    return [];
  }
}

function syntaxFault(error: YAMLError): [what: string, mend?: string] {
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return ['a tab stands where YAML wants blanks', 'indent with blanks'];
    case 'BAD_INDENT':
      return ['the indentation does not fit the lines above'];
    case 'MISSING_CHAR':
      return [
        'a bracket, brace, quote or comma is missing here or before',
        `close it; text with { } or [ ] in it, such as \${VAR} in a list, needs quotes`,
      ];
    case 'BAD_SCALAR_START':
      return ['text may not start with this character in YAML', 'put the text in quotes'];
    case 'BAD_DQ_ESCAPE':
      return ['this is not an escape that YAML knows', 'write the backslash twice, or use single quotes'];
    case 'RESOURCE_EXHAUSTION':
      return ['the file is nested too deeply'];
    case 'BLOCK_AS_IMPLICIT_KEY':
      return ['there is a second ": " on this line', 'put the text in quotes'];
    default:
      return [`this is neither valid YAML nor JSON (${error.code.toLowerCase().replaceAll('_', ' ')})`];
  }
}

interface Walk {
  source: SourceFile;
  anchors: Map<string, Node>;
  done: Map<Node, Located>;
  open: Set<Node>;
  values: number;
}

function locate(source: SourceFile, document: Document): Located | undefined {
  const walk: Walk = { source, anchors: new Map(), done: new Map(), open: new Set(), values: 0 };
  return locateNode(walk, document.contents as Node | null, 0);
}

function locateNode(walk: Walk, node: Node | null, parentOffset: number): Located {
  if (node === null) return empty(parentOffset);
  const offset = node.range?.[0] ?? parentOffset;
  if (isAlias(node)) {
    const known = walk.anchors.get(node.source);
    const value = known && walk.done.get(known);
    if (value === undefined) {
      const inside = known !== undefined && walk.open.has(known);
      report(walk.source, offset, inside ? 'this alias contains itself' : 'this alias has no anchor before it');
      return empty(offset);
    }
    count(walk, value.weight, offset);
    return { ...value, offset };
  }
  if ('anchor' in node && node.anchor !== undefined) walk.anchors.set(node.anchor, node);
  count(walk, 1, offset);
  if (walk.open.size > maxDepth) {
    report(walk.source, offset, 'the file is nested too deeply');
    throwProblems(walk.source);
  }
  walk.open.add(node);
  const located = locateContent(walk, node, offset);
  walk.open.delete(node);
  walk.done.set(node, located);
  return located;
}

function locateContent(walk: Walk, node: Node, offset: number): Located {
  if (isSeq(node)) {
    const items = node.items.map((item) => locateNode(walk, item as Node | null, offset));
    return { kind: 'list', items, offset, weight: items.reduce((sum, item) => sum + item.weight, 1) };
  }
  if (isMap(node)) return locateMap(walk, node as YAMLMap<Node, Node | null>, offset);
  if (!isScalar(node)) return empty(offset);
  const text = typeof node.value === 'string' ? node.value : (node.source ?? String(node.value ?? ''));
  return { kind: 'scalar', value: node.value, text, offset, weight: 1 };
}

function locateMap(walk: Walk, node: YAMLMap<Node, Node | null>, offset: number): Located {
  const entries = new Map<string, LocatedEntry>();
  const merged: LocatedEntry[] = [];
  let weight = 1;
  for (const pair of node.items) {
    const key = keyOf(walk, pair, offset);
    if (key === undefined) continue;
    const value = locateNode(walk, pair.value, key.offset + key.text.length);
    weight += value.weight;
    const first = entries.get(key.text);
    if (key.merges) {
      merged.push({ keyOffset: key.offset, value });
    } else if (first !== undefined) {
      const { line } = placeOf(walk.source, first.keyOffset);
      report(
        walk.source,
        key.offset,
        `the key ${quote(key.text)} is there already, on line ${line}`,
        'keep one of them',
      );
    } else {
      entries.set(key.text, { keyOffset: key.offset, value });
    }
  }
  for (const { keyOffset, value } of merged) mergeInto(walk, entries, keyOffset, value);
  return { kind: 'map', entries, offset, weight };
}

function keyOf(walk: Walk, pair: Pair<Node, Node | null>, mapOffset: number) {
  const { key } = pair;
  const offset = key?.range?.[0] ?? mapOffset;
  const node = isAlias(key) ? walk.anchors.get(key.source) : key;
  if (!isScalar(node) || node.value === null) {
    report(walk.source, offset, 'a key must be text');
    return undefined;
  }
  if (node.anchor !== undefined) walk.anchors.set(node.anchor, node);
  const text = typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
  // yaml.v2, which peers read these files by, knows the merge key of YAML 1.1.
  return { text, offset, merges: text === '<<' && node.type === 'PLAIN' };
}

function mergeInto(walk: Walk, entries: Map<string, LocatedEntry>, keyOffset: number, value: Located): void {
  for (const map of value.kind === 'list' ? value.items : [value]) {
    if (map.kind !== 'map') report(walk.source, keyOffset, 'only maps can be merged with <<');
    else for (const [key, entry] of map.entries) if (!entries.has(key)) entries.set(key, entry);
  }
}

function count(walk: Walk, values: number, offset: number): void {
  walk.values += values;
  if (walk.values <= maxValues) return;
  report(walk.source, offset, `the file has more than ${maxValues} values`, 'divide it, or use fewer aliases');
  throwProblems(walk.source);
}

function empty(offset: number): Located {
  return { kind: 'scalar', value: null, text: '', offset, weight: 1 };
}
