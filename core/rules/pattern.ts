import { LRUCache } from 'lru-cache';
import { RE2JS } from 're2js';
import { configurationError, type TranshipError } from '../model/errors.ts';
import { findOddCharacter, quote } from '../model/quote.ts';
import type { Pattern } from '../model/rule.ts';

/** Longest pattern: a long list of alternatives fits, and compiling stays quick. */
const maxPatternLength = 10_000;

/**
 * Reads a pattern of a rules file: a regular expression between slashes, otherwise a glob.
 * @throws TranshipError `config-invalid` where it cannot be compiled
 */
export function parsePattern(text: string): Pattern {
  const pattern: Pattern =
    text.length > 1 && text.startsWith('/') && text.endsWith('/')
      ? { kind: 'regex', text: text.slice(1, -1) }
      : { kind: 'glob', text };
  const odd = findOddCharacter(text);
  if (odd !== undefined) throw invalid(pattern, `it has ${odd.name} in it, and no tag has`, odd.mend);
  if (pattern.kind === 'glob') checkGlob(pattern);
  compilePattern(pattern);
  return pattern;
}

/**
 * A glob that no tag and no repository can fit is meant as something else, mostly as a regular expression. It would take
 * nothing, and nobody would know.
 * @throws TranshipError `config-invalid`
 */
function checkGlob(pattern: Pattern): void {
  const outside = pattern.text.replace(/\[[^\]]+\]/g, '');
  const stranger = /[^\w.\-/*?[]/.exec(outside)?.[0];
  const first = /^[./-]/.exec(outside)?.[0];
  const regex = `write a regular expression between slashes: /${pattern.text}/`;
  if (stranger === '!' && outside.startsWith('!'))
    throw invalid(pattern, 'no tag has a !', 'leave tags out with `except`');
  if (stranger !== undefined && '{,'.includes(stranger)) {
    throw invalid(pattern, `no tag has a ${stranger}`, 'write several patterns as a list');
  }
  if (stranger !== undefined) throw invalid(pattern, `no tag has ${quote(stranger)} in it`, regex);
  if (first === '/') throw invalid(pattern, 'it does not end with a slash', 'write flags in front, as /(?i)alpine/');
  if (first === undefined || (first === '.' && outside === '.')) return;
  const mend = outside.startsWith('.*') ? regex : `write *${pattern.text}, if other characters may come before`;
  throw invalid(pattern, `no tag begins with ${quote(first)}`, mend);
}

/** True where a text in a list of tags is meant as a pattern: no tag has these characters. */
export function looksLikePattern(text: string): boolean {
  return /[*?[/^$\\|({]/.test(text);
}

/**
 * A test for one pattern, in time linear in the tag's length whatever the pattern (RE2).
 *
 * Globs cover the whole tag: `*` is any run of characters, `?` one, `[a-z]` one of a class and `[!a-z]` one outside it.
 * Regular expressions are found anywhere in the tag, as image-syncer does.
 *
 * @throws TranshipError `config-invalid`
 */
export function compilePattern(pattern: Pattern): (tag: string) => boolean {
  if (pattern.text.length > maxPatternLength) {
    throw invalid(pattern, `it is longer than ${maxPatternLength} characters`);
  }
  if (pattern.kind === 'regex') {
    const expression = compile(pattern, pattern.text);
    return (tag) => expression.test(tag);
  }
  if (!looksLikePattern(pattern.text)) return (tag) => tag === pattern.text;
  const expression = compile(pattern, globExpression(pattern));
  return (tag) => expression.testExact(tag);
}

function globExpression(pattern: Pattern): string {
  return pattern.text.replace(/\[(!?)([^\]]+)\]|[^A-Za-z0-9_-]/g, (all, not?: string, inside?: string) => {
    if (inside !== undefined) return `[${not === '!' ? '^' : ''}${inside.replace(/[\\^[]/g, '\\$&')}]`;
    if (all === '*') return '.*';
    if (all === '?') return '.';
    if (all === '[') throw invalid(pattern, 'a [ in it is not closed');
    return `\\${all}`;
  });
}

/** Thousands of rules may have the same few patterns. Bounded by the length of the texts, which compiled ones grow with. */
const expressions = new LRUCache<string, RE2JS>({ maxSize: 200_000, sizeCalculation: (_, text) => text.length + 1 });

function compile(pattern: Pattern, expression: string): RE2JS {
  try {
    let compiled = expressions.get(expression);
    if (compiled === undefined) {
      compiled = RE2JS.compile(expression);
      expressions.set(expression, compiled);
    }
    return compiled;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const looking = /\(\?(<?[=!])/.test(pattern.text);
    throw invalid(
      pattern,
      reason.slice(0, 200),
      looking ? 'RE2, which is used for its safety, has no look-around; leave tags out with `except`' : undefined,
    );
  }
}

function invalid(pattern: Pattern, what: string, mend?: string): TranshipError {
  const name = pattern.kind === 'regex' ? 'regular expression' : 'pattern';
  return configurationError(`the ${name} ${quote(pattern.text)} cannot be used: ${what}`, { mend });
}
