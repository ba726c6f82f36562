import type { GenericSchema, InferOutput } from 'valibot';
import { type Located, toPlain } from './located.ts';
import { report, type UserFile } from './problems.ts';
import { check } from './shape.ts';

/** A part of a file that is checked against a schema. */
export interface Subject {
  node: Located;
  keyOffset: number;
  /** As messages call it. */
  name: string;
  /** Its values may be secrets: no message holds one. */
  isSecret: boolean;
}

/**
 * Checks a part of a file against a schema, and notes all that is wrong in `file`, each at its place.
 * @returns what the schema makes of it; undefined where something is wrong
 */
export function checkNode<Schema extends GenericSchema>(
  file: UserFile,
  subject: Subject,
  schema: Schema,
): InferOutput<Schema> | undefined {
  const nameOf = (path: Path) => nameAt(subject, path);
  const { value, faults } = check(schema, toPlain(subject.node), { nameOf, isSecret: subject.isSecret });
  for (const { path, isKey, what, mend } of faults ?? []) {
    const { offset, keyOffset } = placeAt(subject, path);
    report(file, isKey ? keyOffset : offset, what, mend);
  }
  return value;
}

type Path = Array<string | number>;

/** The last key, or the number of the last item, of the path. */
function nameAt({ name }: Subject, path: Path): string {
  return path.reduce<string>(
    (parent, step) => (typeof step === 'number' ? `item ${step + 1} of ${parent}` : step),
    name,
  );
}

/** Where the value at the path stands; the nearest one around it where it is not there. */
function placeAt({ node, keyOffset }: Subject, path: Path): { offset: number; keyOffset: number } {
  let place = { node, keyOffset };
  for (const step of path) {
    const next = childAt(place.node, step);
    if (next === undefined) break;
    place = next;
  }
  return { offset: place.node.offset, keyOffset: place.keyOffset };
}

function childAt(node: Located, step: string | number): { node: Located; keyOffset: number } | undefined {
  if (node.kind === 'list') {
    const item = node.items[Number(step)];
    return item && { node: item, keyOffset: item.offset };
  }
  const entry = node.kind === 'map' ? node.entries.get(String(step)) : undefined;
  return entry && { node: entry.value, keyOffset: entry.keyOffset };
}
