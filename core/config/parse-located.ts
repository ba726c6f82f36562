import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseAllDocuments,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import { configurationError, type TranshipError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import { describeComment, describeForeignText, type ForeignText } from './foreign-text.ts';
import { isEmpty, type Located, type LocatedEntry, saysSame } from './located.ts';
import { locateJson } from './located-json.ts';
import { placeOf, report, throwProblems, type UserFile, warn } from './problems.ts';

/** Rule files of tens of thousands of images are a few MiB; more is a mistake or an attack. */
const maxTextLength = 8 * 1024 * 1024;
/**
 * Values in one file with aliases written out: a few lines of aliases can stand for billions ("billion laughs"). yaml's
 * `maxAliasCount` bounds how often one anchor is used, not how much that makes, and only where yaml resolves aliases.
 */
const maxValues = 1_000_000;
const maxDepth = 50;

/**
 * Parses YAML 1.2 or JSON. Scalars keep their text as written, so `1.10` as a tag stays `1.10`.
 *
 * What is wrong with the syntax is told without a piece of the text, which may hold a password.
 * @returns undefined for a blank file; a file of comments alone is an empty scalar. A key that is there twice, or an
 *   alias without an anchor, is noted in `file` and left out, so that the caller can find what else is wrong. Two equal
 *   keys with equal values are a warning
 * @throws TranshipError `config-invalid` where the text is not YAML or is too large
 */
export function parseLocated(file: UserFile, written: string): Located | undefined {
  const text = written.replace(/^\uFEFF/, '');
  if (text.length > maxTextLength) {
    throw configurationError(`${file.name} is larger than ${maxTextLength / 1024 / 1024} MiB`, {
      place: { file: file.name },
      mend: 'divide it',
    });
  }
  file.text = text;
  const json = locateJson(text, { maxDepth, maxValues });
  if (json !== undefined) return json;
  const documents = parseYaml(file, text);
  const [first, second] = documents.filter(
    ({ contents }) => contents !== null && !(isScalar(contents) && contents.value === null),
  );
  const errors = documents.slice(0, first && documents.indexOf(first) + 1).flatMap((document) => document.errors);
  // A source that lists many tags is a long key, and nothing is ambiguous in reading it.
  throwSyntaxErrors(
    file,
    text,
    errors.filter((error) => error.code !== 'KEY_OVER_1024_CHARS'),
  );
  if (second !== undefined) file.warnings.push(`${file.name}: only the first YAML document of the file is read`);
  if (text.trim() === '') return undefined;
  const root = locateNode({ file, anchors: new Map(), values: 0 }, first?.contents, 0, 0);
  const isOneWord = root.kind === 'scalar' && !isEmpty(root);
  throwForeign(file, isOneWord ? describeForeignText(text) : describeComment(text));
  return root;
}

function parseYaml(file: UserFile, text: string): Document.Parsed[] {
  try {
    return parseAllDocuments(text, {
      prettyErrors: false,
      uniqueKeys: false,
      logLevel: 'silent',
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw tooDeep(file);
  }
}

function tooDeep({ name }: UserFile): TranshipError {
  return configurationError(`${name} is nested too deeply`, { place: { file: name, line: 1 } });
}

function throwSyntaxErrors(file: UserFile, text: string, errors: YAMLError[]): void {
  if (errors.length === 0) return;
  throwForeign(file, describeForeignText(text));
  // One mistake in the syntax makes many more behind it.
  for (const error of errors.slice(0, 3)) report(file, error.pos[0], ...syntaxFault(error, text));
  throwProblems(file);
}

function throwForeign(file: UserFile, foreign: ForeignText | undefined): void {
  if (foreign === undefined) return;
  const { line, column } = placeOf(file, foreign.offset);
  throw configurationError(`${file.name}:${line}:${column}: ${foreign.what} — ${foreign.mend}`, {
    place: { file: file.name, line, column },
  });
}

function syntaxFault(error: YAMLError, text: string): [what: string, mend?: string] {
  const character = text[error.pos[0]] ?? '';
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return ['a tab stands where YAML wants blanks', 'indent with blanks, not with tabs'];
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
    case 'MULTILINE_IMPLICIT_KEY':
      return ['this line and the next are one key to YAML', 'write a blank after the colon, and close quotes'];
    case 'BAD_ALIAS':
    case 'UNEXPECTED_TOKEN':
      if (/[}\]]/.test(character)) return [`there is one ${character} too many, here or before`, 'take it out'];
      return ['this does not belong here', 'put text that begins with * & ! | > % @ ` { or [ in quotes'];
    case 'RESOURCE_EXHAUSTION':
      return ['the file is nested too deeply'];
    case 'BLOCK_AS_IMPLICIT_KEY':
      return ['there is a second ": " on this line', 'put the text in quotes'];
    default:
      return [`this is neither valid YAML nor JSON (${error.code.toLowerCase().replaceAll('_', ' ')})`];
  }
}

interface Walk {
  file: UserFile;
  /** What the last anchor of a name stands for; nothing yet while that is being read. */
  anchors: Map<string, { located?: Located }>;
  values: number;
}

function locateNode(walk: Walk, node: unknown, parentOffset: number, depth: number): Located {
  if (!isNode(node)) return empty(parentOffset);
  const offset = node.range?.[0] ?? parentOffset;
  if (isAlias(node)) return locateAlias(walk, node.source, offset);
  count(walk, 1, offset);
  if (depth > maxDepth) {
    throw tooDeep(walk.file);
  }
  const { anchor } = node;
  if (anchor === undefined) return locateContent(walk, node, offset, depth);
  const target: { located?: Located } = {};
  walk.anchors.set(anchor, target);
  target.located = locateContent(walk, node, offset, depth);
  return target.located;
}

function locateAlias(walk: Walk, name: string, offset: number): Located {
  const target = walk.anchors.get(name);
  const value = target?.located;
  if (value === undefined) {
    report(walk.file, offset, target ? 'this alias contains itself' : 'this alias has no anchor before it');
    return empty(offset);
  }
  count(walk, value.weight, offset);
  return { ...value, offset };
}

function locateContent(walk: Walk, node: Node, offset: number, depth: number): Located {
  if (isSeq(node)) {
    const items = node.items.map((item) => locateNode(walk, item, offset, depth + 1));
    return { kind: 'list', items, offset, weight: items.reduce((sum, item) => sum + item.weight, 1) };
  }
  if (isMap(node)) return locateMap(walk, node, offset, depth);
  if (!isScalar(node)) return empty(offset);
  const text = typeof node.value === 'string' ? node.value : (node.source ?? String(node.value ?? ''));
  return { kind: 'scalar', value: node.value, text, offset, weight: 1 };
}

function locateMap(walk: Walk, node: YAMLMap, offset: number, depth: number): Located {
  const entries = new Map<string, LocatedEntry>();
  const merged: LocatedEntry[] = [];
  let weight = 1;
  for (const pair of node.items) {
    const key = keyOf(walk, pair, offset, depth + 1);
    if (key === undefined) continue;
    const value = locateNode(walk, pair.value, key.offset + key.text.length, depth + 1);
    weight += value.weight;
    const first = entries.get(key.text);
    if (key.merges) {
      merged.push({ keyOffset: key.offset, value });
    } else if (first !== undefined) {
      const { line } = placeOf(walk.file, first.keyOffset);
      const what = `the key ${quote(key.text)} is there already, on line ${line}`;
      // Long lists of images have such lines, and other tools read them.
      if (saysSame(first.value, value)) warn(walk.file, key.offset, `${what}, with the same value`);
      else report(walk.file, key.offset, what, 'keep one of them');
    } else {
      entries.set(key.text, { keyOffset: key.offset, value });
    }
  }
  for (const { keyOffset, value } of merged) mergeInto(walk, entries, keyOffset, value);
  return { kind: 'map', entries, offset, weight };
}

function keyOf(walk: Walk, { key }: Pair, mapOffset: number, depth: number) {
  const offset = isNode(key) ? (key.range?.[0] ?? mapOffset) : mapOffset;
  // A plain key is not a value of its own that would count.
  const isPlainKey = isScalar(key) && key.anchor === undefined;
  const located = isPlainKey ? locateContent(walk, key, offset, depth) : locateNode(walk, key, mapOffset, depth);
  if (located.kind !== 'scalar' || located.value === null) {
    report(walk.file, offset, 'a key must be text', 'put { } and [ ] in quotes; render a template first');
    return undefined;
  }
  // yaml.v2, which peers read these files by, knows the merge key of YAML 1.1.
  const merges = located.text === '<<' && isScalar(key) && key.type === 'PLAIN';
  return { text: located.text, offset, merges };
}

function mergeInto(walk: Walk, entries: Map<string, LocatedEntry>, keyOffset: number, value: Located): void {
  for (const map of value.kind === 'list' ? value.items : [value]) {
    if (map.kind !== 'map') report(walk.file, keyOffset, 'only maps can be merged with <<');
    else for (const [key, entry] of map.entries) if (!entries.has(key)) entries.set(key, entry);
  }
}

function count(walk: Walk, values: number, offset: number): void {
  walk.values += values;
  if (walk.values <= maxValues) return;
  report(walk.file, offset, `the file has more than ${maxValues} values`, 'divide it, or use fewer aliases');
  throwProblems(walk.file);
}

function empty(offset: number): Located {
  return { kind: 'scalar', value: null, text: '', offset, weight: 1 };
}
