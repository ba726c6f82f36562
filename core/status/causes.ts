import type { ErrorClass, ErrorCode, Failure } from '../model/errors.ts';
import { formatTarget } from '../model/reference.ts';
import { mends } from './mends.ts';
import type { Survey } from './survey.ts';

/** What is not in step for one reason. */
export interface Cause {
  code: ErrorCode;
  class: ErrorClass;
  /** Where it happened, where that is known. */
  registry?: string;
  what: string;
  mend: string;
  /** How many tags, and rules that could not be expanded. */
  tags: number;
  rules: number;
  /** Different messages, the most common ones first. */
  messages: Array<{ text: string; count: number }>;
  /** Some of the tags. */
  examples: string[];
  ruleIds: string[];
}

const MOST_MESSAGES = 3;
const MOST_EXAMPLES = 10;
const MOST_RULES = 10;

interface Case {
  failure: Failure;
  ruleId: string;
  tag?: string;
}

/** Groups what is not in step by code and registry, the largest group first. */
export function causesOf({ failing, rules }: Pick<Survey, 'failing' | 'rules'>): Cause[] {
  const cases: Case[] = [
    ...failing.flatMap(({ failure, ruleId, destination }) =>
      failure === undefined ? [] : [{ failure, ruleId, tag: formatTarget(destination) }],
    ),
    ...rules.flatMap(({ failure, ruleId }) => (failure === undefined ? [] : [{ failure, ruleId }])),
  ];
  const groups = Map.groupBy(cases, ({ failure }) => JSON.stringify([failure.code, failure.registry]));
  return [...groups.values()].map(causeOf).sort((a, b) => b.tags + b.rules - a.tags - a.rules);
}

function causeOf(cases: Case[]): Cause {
  const failure = cases[0]!.failure;
  const { code, registry } = failure;
  const tags = cases.flatMap(({ tag }) => (tag === undefined ? [] : [tag]));
  const messages = [...Map.groupBy(cases, (one) => one.failure.message)]
    .map(([text, same]) => ({ text, count: same.length }))
    .sort((a, b) => b.count - a.count);
  return {
    code,
    class: failure.class,
    registry,
    // A newer version of the other host may know more codes.
    what: mends[code]?.what ?? failure.message,
    mend: failure.mend ?? mends[code]?.mend ?? '',
    tags: tags.length,
    rules: cases.length - tags.length,
    messages: messages.slice(0, MOST_MESSAGES),
    examples: tags.slice(0, MOST_EXAMPLES),
    ruleIds: [...new Set(cases.map(({ ruleId }) => ruleId))].slice(0, MOST_RULES),
  };
}
