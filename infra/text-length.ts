import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

/** Of the URL or the ARN of something with a generated name: `https://sqs.…amazonaws.com/<account>/<80 characters>`. */
const NAME_CHARACTERS = 140;
/** `AWS::Region`, `AWS::URLSuffix` and the like. */
const PSEUDO_CHARACTERS = 20;

/** How long a text will be once AWS has put in what only it knows; rather too long than too short. */
export function textLength(scope: Construct, text: string): number {
  return lengthOf(Stack.of(scope).resolve(text));
}

function lengthOf(resolved: unknown): number {
  if (typeof resolved === 'string') return Buffer.byteLength(resolved);
  const { Ref: name, 'Fn::Join': join } = Object(resolved) as { Ref?: string; 'Fn::Join'?: [string, unknown[]] };
  if (name?.startsWith('AWS::')) return PSEUDO_CHARACTERS;
  if (!Array.isArray(join?.[1])) return NAME_CHARACTERS;
  const [between, parts] = join;
  return parts.reduce<number>((sum, part) => sum + lengthOf(part) + between.length, 0);
}
