import type { Resolved } from './template.ts';

/** A rule of EventBridge on the default bus. */
export interface EventRule {
  id: string;
  path: string;
  arn: string;
  pattern: Pattern;
  targets: Array<{ arn: string; deadLetterArn: string | undefined }>;
}

interface Pattern {
  [field: string]: Pattern | unknown[];
}

/** Reads the rules that are enabled. */
export function readEventRules(template: Resolved): EventRule[] {
  return template
    .ofType('AWS::Events::Rule')
    .filter(({ properties }) => properties.State !== 'DISABLED')
    .map(({ id, path, properties }) => {
      if (properties.EventBusName !== undefined) throw new Error(`${id}: the host has the default bus only`);
      const targets = (properties.Targets ?? []) as Array<{ Arn: string; DeadLetterConfig?: { Arn: string } }>;
      return {
        id,
        path,
        arn: String(template.resolve({ 'Fn::GetAtt': [id, 'Arn'] })),
        pattern: properties.EventPattern as Pattern,
        targets: targets.map(({ Arn, DeadLetterConfig }) => ({ arn: Arn, deadLetterArn: DeadLetterConfig?.Arn })),
      };
    });
}

/**
 * Whether an event fits a pattern: every field of it is in the event, with one of the values.
 * @throws for a comparison that the host does not know
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html
 */
export function fitsPattern(pattern: Pattern, event: unknown): boolean {
  const fields = (typeof event === 'object' && event !== null ? event : {}) as Record<string, unknown>;
  return Object.entries(pattern).every(([name, wanted]) => {
    const value = fields[name];
    if (!Array.isArray(wanted)) return fitsPattern(wanted, value);
    const other = wanted.find((one) => !['string', 'number'].includes(typeof one) && prefixOf(one) === undefined);
    if (other !== undefined) throw new Error(`the host does not know the pattern ${JSON.stringify(other)}`);
    return wanted.includes(value) || wanted.some((one) => String(value).startsWith(prefixOf(one) ?? '\0'));
  });
}

function prefixOf(wanted: unknown): string | undefined {
  return typeof wanted === 'object' && wanted !== null ? (wanted as { prefix?: string }).prefix : undefined;
}
