import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import rulesSchema from '../../schema/tranship.schema.json' with { type: 'json' };
import { type Located, toPlain } from './located.ts';
import { nearestKey } from './nearest-key.ts';
import { quote, report, type SourceFile } from './problems.ts';

let validator: ValidateFunction | undefined;

/**
 * The published schema is what is checked, so an editor and the product say the same. Compiled when it is needed: that
 * takes a quarter of the command's start, and most runs have no file in this format.
 */
function compiled(): ValidateFunction {
  validator ??= new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true }).compile(rulesSchema);
  return validator;
}

/**
 * Notes everything in which the file differs from the schema of tranship.yaml, each at its place.
 * @returns true where nothing was wrong
 */
export function checkSchema(source: SourceFile, root: Located): boolean {
  const validate = compiled();
  if (validate(toPlain(root))) return true;
  for (const error of validate.errors ?? []) {
    const { offset, keyOffset, name } = find(root, error);
    const [what, mend] = explain(error, name);
    report(source, error.keyword === 'additionalProperties' ? keyOffset : offset, what, mend);
  }
  return false;
}

/** The place an error speaks of, and the key or index that leads there. */
function find(root: Located, error: ErrorObject): { offset: number; keyOffset: number; name: string } {
  let node = root;
  let keyOffset = root.offset;
  let name = 'the file';
  const steps = error.instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const extra = (error.params as { additionalProperty?: string }).additionalProperty;
  for (const step of extra === undefined ? steps : [...steps, extra]) {
    if (node.kind === 'map') {
      const entry = node.entries.get(step);
      if (entry === undefined) break;
      ({ value: node, keyOffset } = entry);
      name = step;
    } else if (node.kind === 'list') {
      node = node.items[Number(step)] ?? node;
      keyOffset = node.offset;
      name = `item ${Number(step) + 1} of ${name}`;
    }
  }
  return { offset: node.offset, keyOffset, name };
}

function explain(error: ErrorObject, name: string): [what: string, mend?: string] {
  const parent = error.parentSchema as { title?: string; properties?: Record<string, unknown> };
  const params = error.params as Partial<
    Record<'additionalProperty' | 'missingProperty' | 'type' | 'allowedValue' | 'limit', unknown>
  >;
  const value = typeof error.data === 'string' ? quote(error.data) : name;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params.additionalProperty);
      return [`unknown key ${quote(key)}`, nearestKey(key, Object.keys(parent.properties ?? {}))];
    }
    case 'required':
      return [`${name} has no ${quote(String(params.missingProperty))}`];
    case 'type':
      return [`${name} must be ${[params.type].flat().map(typeName).join(' or ')}, and is ${kindOf(error.data)}`];
    case 'const':
      return [`${name} must be ${JSON.stringify(params.allowedValue)}`];
    case 'pattern':
      return [`${value} is not ${parent.title ?? 'valid'}`];
    case 'minLength':
    case 'minItems':
    case 'minProperties':
      return [`${name} is empty`];
    case 'maxLength':
      return [`${name} is longer than ${params.limit} characters`];
    case 'maxItems':
      return [`${name} has more than ${params.limit} entries`];
    default:
      return [`${name} ${error.message ?? 'is not valid'}`];
  }
}

function typeName(type: unknown): string {
  return { string: 'text', array: 'a list', object: 'a map', number: 'a number', integer: 'a whole number' }[
    String(type)
  ] as string;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  return typeof value === 'string' ? 'text' : `the ${typeof value} ${JSON.stringify(value)}`;
}
