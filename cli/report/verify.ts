import type { Failure } from '../../core/model/errors.ts';
import { type Digest, formatTarget, type Target } from '../../core/model/reference.ts';
import { createPaint, type Style } from '../view/color.ts';
import { formatCount, plural } from '../view/format.ts';
import { pad } from '../view/text.ts';
import { failureLines, type Layout } from './tags.ts';

export interface VerifyRow {
  ruleId?: string;
  source?: Target;
  destination: Target;
  state: 'ok' | 'differs' | 'missing' | 'unreadable';
  /** The digest that should be there; undefined where neither source nor ledger could tell. */
  expected: Digest | undefined;
  /** The digest that is there. */
  actual: Digest | undefined;
  /** Why it could not be read. */
  failure?: Failure;
}

export interface VerifySummary {
  rows: VerifyRow[];
}

const styles: Record<VerifyRow['state'], Style> = { ok: 'green', differs: 'red', missing: 'red', unreadable: 'yellow' };

/** `unreadable` and two blanks. */
const indent = 12;

/** Every destination tag that does not hold what it should, with both digests in full; `all` lists the good ones too. */
export function renderVerify(options: {
  summary: VerifySummary;
  detail: 'problems' | 'changes' | 'all';
  color: boolean;
  columns: number | undefined;
  now: number;
}): string {
  const { summary, detail, columns, now } = options;
  const layout: Layout = { paint: createPaint(options.color), columns, now };
  const { paint } = layout;
  const shown = detail === 'all' ? summary.rows : summary.rows.filter(({ state }) => state !== 'ok');
  if (detail === 'problems' && shown.length === 0) return '';

  const blanks = ' '.repeat(indent);
  const lines = shown.flatMap((row) => [
    `${paint(styles[row.state], pad(row.state, 10))}  ${formatTarget(row.destination)}`,
    ...(row.state === 'differs' ? [`${blanks}has    ${row.actual ?? 'unknown'}`] : []),
    ...(row.state === 'differs' || row.state === 'missing' ? [`${blanks}wanted ${row.expected ?? 'unknown'}`] : []),
    ...(row.failure === undefined ? [] : failureLines(row.failure, layout, indent)),
  ]);
  const count = (state: VerifyRow['state']) => summary.rows.filter((row) => row.state === state).length;
  const counts = (['ok', 'differs', 'missing', 'unreadable'] as const)
    .map((state) => ({ state, tags: count(state) }))
    .filter(({ state, tags }) => tags > 0 || state === 'ok')
    .map(({ state, tags }) => `${formatCount(tags)} ${state}`)
    .join(', ');
  // What is missing shows in the destination's tag list; another digest does not, and the ledger calls it in step.
  const mend = count('differs') > 0 ? 'tranship sync --force' : count('missing') > 0 ? 'tranship sync' : undefined;
  return `${[
    ...lines,
    ...(lines.length > 0 ? [''] : []),
    `${paint('bold', plural(summary.rows.length, 'destination tag'))}: ${counts}`,
    ...(mend === undefined ? [] : [`Next: ${paint('bold', mend)}  copy them again`]),
  ].join('\n')}\n`;
}
