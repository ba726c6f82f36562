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

/** The value of a key, where the node is a map that has it. */
export function valueAt(node: Located, key: string): Located | undefined {
  return node.kind === 'map' ? node.entries.get(key)?.value : undefined;
}

/** The text as written, of a scalar: `1.10` stays `1.10`, which as a number is 1.1. Of anything else, none. */
export function textOf(node: Located | undefined): string {
  return node?.kind === 'scalar' ? node.text : '';
}

/** Nothing is written there, or `null`. */
export function isEmpty(node: Located): boolean {
  return node.kind === 'scalar' && node.value === null;
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

/** Whether two values are written alike, wherever they stand; keys may be in another order. */
export function saysSame(one: Located, other: Located): boolean {
  if (one.kind === 'scalar') return other.kind === 'scalar' && one.value === other.value && one.text === other.text;
  if (one.kind === 'list') {
    return (
      other.kind === 'list' &&
      one.items.length === other.items.length &&
      one.items.every((item, at) => saysSame(item, other.items[at] as Located))
    );
  }
  return (
    other.kind === 'map' &&
    one.entries.size === other.entries.size &&
    [...one.entries].every(([key, { value }]) => {
      const same = other.entries.get(key);
      return same !== undefined && saysSame(value, same.value);
    })
  );
}
