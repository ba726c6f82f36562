import * as v from 'valibot';
import { quote } from '../model/quote.ts';
import { nearestKey, nearestOf } from './nearest-key.ts';

/**
 * What data from outside may look like is written with valibot, in the schemas beside its readers. This module has what
 * valibot lacks, and turns its issues into words. A message in such a schema is a predicate: `is not a tag`.
 */
type Issue = v.BaseIssue<unknown>;

/** A map with these keys and no others. A list, which is an object to valibot, is none. */
export function mapOf<const Entries extends v.ObjectEntries>(entries: Entries) {
  // All unknown keys are told, with the known ones, where valibot names only the first one.
  const keys = Object.keys(entries).join(' ');
  return v.pipe(
    anyMap,
    v.strictObject(entries, () => keys),
  );
}

/** One of these words. */
export function wordOf<const Words extends readonly string[]>(words: Words) {
  return v.picklist(words, () => words.join(' '));
}

/** A map with any keys, all of whose values look alike. */
export function recordOf<const Value extends v.GenericSchema>(value: Value) {
  return v.pipe(anyMap, v.record(v.string(), value));
}

const anyMap = v.custom<Record<string, unknown>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
);

/** What is wrong with one value. */
export interface Fault {
  /** Keys and indexes that lead to the value. */
  path: Array<string | number>;
  /** It is the key, the last of the path, that is wrong. */
  isKey: boolean;
  what: string;
  mend?: string;
}

export interface FaultOptions {
  /** How messages call the value at a path. */
  nameOf: (path: Array<string | number>) => string;
  /** Values may be secrets: no message holds one. */
  isSecret: boolean;
}

/** Data that fits, or all that is wrong with it. */
export type Checked<Value> = { value: Value; faults?: never } | { faults: Fault[]; value?: never };

/** Checks data against a schema. */
export function check<Schema extends v.GenericSchema>(
  schema: Schema,
  data: unknown,
  options: FaultOptions,
): Checked<v.InferOutput<Schema>> {
  // An empty message tells the schema's own from valibot's, which hold the value.
  const result = v.safeParse(schema, data, { message: () => '' });
  if (result.success) return { value: result.output };
  return { faults: result.issues.flatMap((issue) => leaves(issue, [])).flatMap((leaf) => faultsOf(leaf, options)) };
}

/** `destinations[0].tag` */
export function formatPath(path: Array<string | number>): string {
  return path.map((step, at) => (typeof step === 'number' ? `[${step}]` : at === 0 ? step : `.${step}`)).join('');
}

/** An issue and the whole path to it. */
interface Leaf {
  issue: Issue;
  path: Array<string | number>;
}

/**
 * Of the alternatives of a union, the one whose kind fits says what is wrong: an item of the list, a key of the map.
 */
function leaves(issue: Issue, before: Leaf['path']): Leaf[] {
  const path = [...before, ...(issue.path ?? []).map(({ key }) => (typeof key === 'number' ? key : String(key)))];
  const inside = issue.issues?.filter((alternative) => alternative.path !== undefined) ?? [];
  return inside.length > 0 ? inside.flatMap((alternative) => leaves(alternative, path)) : [{ issue, path }];
}

function faultsOf({ issue, path }: Leaf, { nameOf, isSecret }: FaultOptions): Fault[] {
  const name = nameOf(path);
  const shown = typeof issue.input === 'string' && !isSecret ? quote(issue.input) : undefined;
  const limit = String(issue.requirement);
  const fault = (what: string, mend?: string): Fault[] => [{ path, isKey: false, what, mend }];
  if (issue.path?.at(-1)?.origin === 'key') return keyFaults({ issue, path }, nameOf);
  switch (issue.type) {
    case 'picklist':
      return fault(
        `${name} ${shown === undefined ? '' : `${shown} `}is unknown`,
        nearestOf(String(issue.input), issue.message.split(' ')),
      );
    case 'literal':
      return fault(`${name} must be ${issue.expected}`);
    case 'min_length':
    case 'min_entries':
      return fault(`${name} is empty`);
    case 'max_length':
    case 'max_entries':
      if (typeof issue.input === 'string') return fault(`${name} is longer than ${limit} characters`);
      return fault(`${name} has more than ${limit} ${limit === '1' ? 'entry' : 'entries'}`);
    case 'min_value':
      return fault(`${name} must be at least ${limit}`);
    case 'max_value':
      return fault(`${name} must be at most ${limit}`);
  }
  if (issue.message !== '') return fault(`${shown ?? name} ${issue.message}`);
  const wanted = kindsWanted(issue);
  const needsQuotes = wanted.includes('text') && ['number', 'boolean'].includes(typeof issue.input);
  return fault(
    `${name} must be ${wanted.join(' or ')}, and is ${kindOf(issue.input, isSecret)}`,
    needsQuotes ? 'put it in quotes' : undefined,
  );
}

/** A key that is missing, or all that nobody knows. */
function keyFaults({ issue, path }: Leaf, nameOf: FaultOptions['nameOf']): Fault[] {
  const map = path.slice(0, -1);
  if (issue.expected !== 'never') {
    return [{ path: map, isKey: false, what: `${nameOf(map)} has no ${quote(String(path.at(-1)))}` }];
  }
  const known = issue.message.split(' ');
  const written = issue.path?.at(-1)?.input;
  return Object.keys(typeof written === 'object' && written !== null ? written : {})
    .filter((key) => !known.includes(key))
    .map((key) => ({
      path: [...map, key],
      isKey: true,
      what: `unknown key ${quote(key)}`,
      mend: nearestKey(key, known),
    }));
}

const kinds: Partial<Record<string, string>> = {
  string: 'text',
  array: 'a list',
  custom: 'a map',
  object: 'a map',
  number: 'a number',
  boolean: 'true or false',
  integer: 'a whole number',
};

function kindsWanted(issue: Issue): string[] {
  if (issue.issues !== undefined) return issue.issues.flatMap(kindsWanted);
  return issue.type === 'picklist' ? issue.message.split(' ') : [kinds[issue.type] ?? issue.type];
}

function kindOf(value: unknown, isSecret: boolean): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return 'text';
  return isSecret ? `a ${typeof value}` : `the ${typeof value} ${String(value)}`;
}
