/** A statement of an IAM policy or of a resource's own policy, with intrinsic functions resolved. */
export interface Statement {
  Effect: string;
  Action: string | string[];
  Resource: string | string[];
  /** In a resource's own policy: who. */
  Principal?: '*' | { Service?: string | string[]; AWS?: string | string[] };
  Condition?: Record<string, Record<string, string | string[]>>;
}

/** The condition keys of a request: `aws:SourceAccount`, `dynamodb:LeadingKeys`. */
export type ConditionKeys = Record<string, string | string[]>;

/**
 * The statements of a policy document.
 * @throws for an element that the host cannot judge
 */
export function statementsOf(document: unknown): Statement[] {
  const statements = [(document as { Statement: Statement | Statement[] }).Statement].flat();
  for (const statement of statements) {
    const unknown = Object.keys(statement).filter((key) => !knownElements.has(key));
    if (unknown.length > 0) throw new Error(`the host cannot judge ${unknown} in ${JSON.stringify(statement)}`);
  }
  return statements;
}

const knownElements = new Set(['Sid', 'Effect', 'Action', 'Resource', 'Principal', 'Condition']);

/** IAM's wildcards: `*` for any text, `?` for one character. */
export function matches(pattern: string, text: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === text;
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(text);
}

/**
 * Whether all conditions of a statement hold.
 * @throws for an operator that the host does not know
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
export function conditionsHold(condition: Statement['Condition'], keys: ConditionKeys): boolean {
  return Object.entries(condition ?? {}).every(([operator, tests]) =>
    Object.entries(tests).every(([key, wanted]) => {
      const holds = operators[operator];
      if (holds === undefined) throw new Error(`the host does not know the condition operator ${operator}`);
      return holds([keys[key] ?? []].flat(), [wanted].flat());
    }),
  );
}

/** Of the values that a request has for a key, and those that the policy names. */
type Operator = (values: string[], wanted: string[]) => boolean;

const anyEqual: Operator = (values, wanted) => values.some((value) => wanted.includes(value));
const anyLike: Operator = (values, wanted) => values.some((value) => wanted.some((pattern) => matches(pattern, value)));

const operators: Record<string, Operator> = {
  StringEquals: anyEqual,
  StringLike: anyLike,
  ArnEquals: anyLike,
  ArnLike: anyLike,
  Bool: anyEqual,
  // Also holds where the request has no such key.
  'ForAllValues:StringLike': (values, wanted) => values.every((value) => anyLike([value], wanted)),
  'ForAllValues:StringEquals': (values, wanted) => values.every((value) => wanted.includes(value)),
};
