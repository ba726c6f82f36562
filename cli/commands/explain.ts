import { configurationError, type Failure, hasCode, toFailure } from '../../core/model/errors.ts';
import { formatRepository } from '../../core/model/reference.ts';
import type { Rule } from '../../core/model/rule.ts';
import { discoverRules } from '../../core/pipeline/discover.ts';
import { listTags } from '../../core/registry/tags.ts';
import { type Explanation, explainSelection } from '../../core/rules/explain.ts';
import { formatPlace } from '../../core/rules/wildcard.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { readInputs } from '../inputs/inputs.ts';
import { describeReason, renderExplanation } from '../report/explain.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { wantsColor } from '../view/color.ts';
import { formatJsonLine, type JsonLine } from '../view/json.ts';
import { type Asking, askRegistries } from './asking.ts';

/** A rule with what it makes of its source's tags, or why they could not be read. */
export type ExplainedRule = { rule: Rule } & ({ explanation: Explanation } | { failure: Failure });

/**
 * `tranship explain [RULE [TAG...]]`: which tags of its source a rule takes, and why not the others. Asks the source
 * for its tag list and nothing else.
 * @param words a rule's name, or its source as written, and the tags to tell of; all where there are none
 */
export async function explain(flags: Flags, words: string[], warnings: string[], shell: Shell): Promise<ExitCode> {
  const { env, stdout } = shell;
  const [name, ...tags] = words;
  const inputs = await readInputs(flags, env);
  const rules = name === undefined ? inputs.rules : chooseRules(inputs.rules, name, inputs.file);
  return askRegistries(flags, shell, inputs.credentials, async (asking) => {
    for (const message of [...warnings, ...inputs.warnings]) asking.warn(message);
    let hasFailed = false;
    let between = '';
    for (const rule of rules) {
      for await (const explained of explainRules(asking, rule, tags)) {
        hasFailed ||= 'failure' in explained;
        if (flags.json) {
          stdout.write(formatJsonLine(explanationJson(explained)));
          continue;
        }
        const text = renderExplanation(explained, {
          schedule: inputs.schedules[rule.id],
          all: flags.verbose || tags.length > 0,
          color: wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true }),
          columns: columnsOf(stdout),
        });
        stdout.write(between + text);
        between = '\n';
      }
    }
    return hasFailed ? exitCodes.incomplete : exitCodes.inStep;
  });
}

function chooseRules(rules: Rule[], name: string, file: string): Rule[] {
  const chosen = rules.filter((rule) => rule.id === name || formatRepository(rule.from) === name);
  if (chosen.length > 0) return chosen;
  throw configurationError(`${file} has no rule ${JSON.stringify(name)}`, {
    mend: `Its rules are ${rules
      .slice(0, 20)
      .map(({ id }) => id)
      .join(', ')}${rules.length > 20 ? ', ...' : ''}.`,
  });
}

/** A rule for many repositories is explained for each of them. */
async function* explainRules(asking: Asking, rule: Rule, only: string[]): AsyncGenerator<ExplainedRule> {
  let found: Rule[];
  try {
    found = await discoverRules(asking, rule);
  } catch (error) {
    if (hasCode(error, 'aborted')) throw error;
    yield { rule, failure: toFailure(error) };
    return;
  }
  for (const one of found) yield explainRule(asking, one, only);
}

async function explainRule({ client, signal }: Asking, rule: Rule, only: string[]): Promise<ExplainedRule> {
  const names: string[] = [];
  try {
    for await (const page of listTags(client, rule.from, { signal })) names.push(...page);
  } catch (error) {
    if (hasCode(error, 'aborted')) throw error;
    return { rule, failure: toFailure(error) };
  }
  const { taken, leftOut, missing } = explainSelection(rule.select, names);
  if (only.length === 0) return { rule, explanation: { taken, leftOut, missing } };
  const isAsked = (tag: string) => only.includes(tag);
  const there = new Set(names);
  return {
    rule,
    explanation: {
      taken: taken.filter(isAsked),
      leftOut: leftOut.filter(({ tag }) => isAsked(tag)),
      missing: only.filter((tag) => !there.has(tag)),
    },
  };
}

function explanationJson(explained: ExplainedRule): JsonLine {
  const { rule } = explained;
  const about = { type: 'explanation', rule: rule.id, source: formatPlace(rule.from, rule.discover) };
  if ('failure' in explained) return { ...about, failure: explained.failure };
  const { taken, leftOut, missing } = explained.explanation;
  return {
    ...about,
    taken,
    leftOut: leftOut.map(({ tag, reason }) => ({ tag, reason: reason.kind, text: describeReason(reason) })),
    missing,
  };
}
