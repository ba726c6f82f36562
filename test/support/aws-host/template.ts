/** The parts of a CloudFormation template that the host reads. */
export interface Template {
  Parameters?: Record<string, { Default?: unknown }>;
  Conditions?: Record<string, unknown>;
  Resources: Record<string, Resource>;
  Outputs?: Record<string, { Value: unknown }>;
}

export interface Resource {
  Type: string;
  Properties?: Record<string, unknown>;
  /** CDK writes the construct's path and the asset's folder here. */
  Metadata?: { 'aws:cdk:path'?: string; 'aws:asset:path'?: string };
  Condition?: string;
}

/** A resource with its logical id and its properties resolved. */
export interface Found {
  id: string;
  /** Path of the construct, `Stack/Planner/Resource`; the logical id where there is none. */
  path: string;
  folder: string | undefined;
  properties: Record<string, unknown>;
}

export interface Resolved {
  /** Replaces all intrinsic functions in a value. */
  resolve(value: unknown): unknown;
  /** All resources of a type, with properties resolved; those whose condition does not hold are left out. */
  ofType(...types: string[]): Found[];
}

/** What stands for `AWS::NoValue`: the property is as if it were not written. */
const noValue = Symbol('AWS::NoValue');

export const region = 'us-east-1';
/** The account of fauxqs. */
export const account = '000000000000';
export const stackName = 'tranship';

const pseudoParameters: Record<string, unknown> = {
  'AWS::Region': region,
  'AWS::AccountId': account,
  'AWS::Partition': 'aws',
  'AWS::StackName': stackName,
  'AWS::StackId': `arn:aws:cloudformation:${region}:${account}:stack/${stackName}/0`,
  'AWS::URLSuffix': 'amazonaws.com',
  'AWS::NoValue': noValue,
};

/**
 * Resolves the intrinsic functions of a template: Ref, GetAtt, Sub, Join, Select, Split, If and conditions.
 *
 * @param attributeOf what Ref (no attribute) and GetAtt give for a resource; throws for what it does not know
 * @throws for any other function, so that no part of a stack is left out in silence
 */
export function resolveTemplate(
  template: Template,
  attributeOf: (id: string, resource: Resource, attribute: string | undefined, self: Resolved) => unknown,
): Resolved {
  function attribute(id: string, name: string | undefined): unknown {
    const resource = template.Resources[id];
    if (resource === undefined) throw new Error(`the template has no resource ${id}`);
    return attributeOf(id, resource, name, self);
  }

  function ref(name: string): unknown {
    if (name in pseudoParameters) return pseudoParameters[name];
    const parameter = template.Parameters?.[name];
    return parameter === undefined ? attribute(name, undefined) : parameter.Default;
  }

  function condition(name: string): boolean {
    return holds(template.Conditions?.[name] ?? fail(`the template has no condition ${name}`));
  }

  function holds(value: unknown): boolean {
    if (typeof value === 'boolean') return value;
    const [kind, argument] = onlyEntry(value) ?? fail('a condition is none');
    const list = argument as unknown[];
    if (kind === 'Condition') return condition(argument as string);
    if (kind === 'Fn::Equals') return resolve(list[0]) === resolve(list[1]);
    if (kind === 'Fn::Not') return !holds(list[0]);
    if (kind === 'Fn::And') return list.every(holds);
    if (kind === 'Fn::Or') return list.some(holds);
    return fail(`the host does not know the condition ${kind}`);
  }

  function substitute(argument: unknown): string {
    const [text, own] = (Array.isArray(argument) ? argument : [argument, {}]) as [string, Record<string, unknown>];
    return text.replace(/\$\{(!?)([^}]+)\}/g, (_, literal: string, name: string) => {
      if (literal) return `\${${name}}`;
      if (name in own) return String(resolve(own[name]));
      const dot = name.indexOf('.');
      return String(dot < 0 ? ref(name) : attribute(name.slice(0, dot), name.slice(dot + 1)));
    });
  }

  const functions: Record<string, (argument: unknown) => unknown> = {
    Ref: (name) => ref(name as string),
    'Fn::GetAtt': (path) => {
      const [id, ...rest] = Array.isArray(path) ? (path as string[]) : (path as string).split('.');
      return attribute(id as string, rest.join('.'));
    },
    'Fn::Sub': substitute,
    'Fn::Join': (argument) => {
      const [separator, parts] = argument as [string, unknown];
      return (resolve(parts) as unknown[]).join(separator);
    },
    'Fn::Select': (argument) => {
      const [index, list] = argument as [number | string, unknown];
      return (resolve(list) as unknown[])[Number(index)];
    },
    'Fn::Split': (argument) => {
      const [separator, text] = argument as [string, unknown];
      return String(resolve(text)).split(separator);
    },
    'Fn::If': (argument) => {
      const [name, then, otherwise] = argument as [string, unknown, unknown];
      return resolve(condition(name) ? then : otherwise);
    },
  };

  function resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(resolve).filter((entry) => entry !== noValue);
    if (typeof value !== 'object' || value === null) return value;
    const [name, argument] = onlyEntry(value) ?? [];
    if (name !== undefined && name in functions) return functions[name]?.(argument);
    if (name?.startsWith('Fn::')) throw new Error(`the host does not know ${name}`);
    const entries = Object.entries(value).map(([key, entry]) => [key, resolve(entry)] as const);
    return Object.fromEntries(entries.filter(([, entry]) => entry !== noValue));
  }

  const self: Resolved = {
    resolve,
    ofType: (...types) =>
      Object.entries(template.Resources)
        .filter(([, { Type, Condition }]) => types.includes(Type) && (Condition === undefined || condition(Condition)))
        .map(([id, resource]) => ({
          id,
          path: resource.Metadata?.['aws:cdk:path'] ?? id,
          folder: resource.Metadata?.['aws:asset:path'],
          properties: resolve(resource.Properties ?? {}) as Record<string, unknown>,
        })),
  };
  return self;
}

function onlyEntry(value: unknown): [string, unknown] | undefined {
  const entries = Object.entries(value as object);
  return entries.length === 1 ? (entries[0] as [string, unknown]) : undefined;
}

function fail(message: string): never {
  throw new Error(message);
}
