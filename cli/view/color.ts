import { styleText } from 'node:util';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

/**
 * Whether a stream gets colours: `--no-color`, then FORCE_COLOR (https://force-color.org; `0` and `false` force none),
 * then NO_COLOR (https://no-color.org), where an empty value counts as unset, then whether it is a terminal that can.
 */
export function wantsColor(source: {
  noColor: boolean;
  env: Record<string, string | undefined>;
  isTTY: boolean;
}): boolean {
  const { noColor, env, isTTY } = source;
  if (noColor) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  if (env.NO_COLOR) return false;
  return isTTY && env.TERM !== 'dumb';
}

export function createPaint(color: boolean): Paint {
  return color ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text;
}

export const resultStyles: Record<Outcome['result'], Style> = {
  copied: 'green',
  deleted: 'red',
  unchanged: 'dim',
  failed: 'red',
  deferred: 'yellow',
};
