import type { ErrorObject } from 'ajv';
import type { Located } from './located.ts';
import { nearestKey, nearestOf } from './nearest-key.ts';
import { quote, report, type SourceFile } from './problems.ts';

/** What was held against a schema. */
export interface Subject {
  node: Located;
  keyOffset: number;
  /** As messages call it. */
  name: string;
  /** Its values may be secrets: no message holds one. */
  isSecret?: boolean;
}

/** Notes what a schema found wrong, each at its place in the file. @param errors of Ajv with `verbose` */
export function reportSchemaErrors(source: SourceFile, subject: Subject, errors: readonly ErrorObject[]): void {
  for (const error of errors) {
    const { offset, keyOffset, name } = find(subject, error);
    const [what, mend] = explain(error, name, subject.isSecret === true);
    report(source, error.keyword === 'additionalProperties' ? keyOffset : offset, what, mend);
  }
}

/** The place an error speaks of, and the key or index that leads there. */
function find(subject: Subject, error: ErrorObject): { offset: number; keyOffset: number; name: string } {
  let { node, keyOffset, name } = subject;
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

function explain(error: ErrorObject, name: string, isSecret: boolean): [what: string, mend?: string] {
  const parent = error.parentSchema as { title?: string; properties?: Record<string, unknown> };
  const params = error.params as Partial<
    Record<'additionalProperty' | 'missingProperty' | 'type' | 'allowedValue' | 'limit', unknown>
  >;
  const value = typeof error.data === 'string' && !isSecret ? quote(error.data) : name;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params.additionalProperty);
      return [`unknown key ${quote(key)}`, nearestKey(key, Object.keys(parent.properties ?? {}))];
    }
    case 'required':
      return [`${name} has no ${quote(String(params.missingProperty))}`];
    case 'type':
      return [
        `${name} must be ${[params.type].flat().map(typeName).join(' or ')}, and is ${kindOf(error.data, isSecret)}`,
      ];
    case 'enum':
      return [`${value} is none that is known`, nearestOf(String(error.data), error.schema as string[], `${name}s`)];
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
    case 'maxProperties':
      return [`${name} has more than ${params.limit} ${params.limit === 1 ? 'entry' : 'entries'}`];
    default:
      return [`${name} ${error.message ?? 'is not valid'}`];
  }
}

function typeName(type: unknown): string {
  return { string: 'text', array: 'a list', object: 'a map', number: 'a number', integer: 'a whole number' }[
    String(type)
  ] as string;
}

function kindOf(value: unknown, isSecret: boolean): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return 'text';
  return isSecret ? `a ${typeof value}` : `the ${typeof value} ${JSON.stringify(value)}`;
}
