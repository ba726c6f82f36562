import { formatTarget } from '../../core/model/reference.ts';
import type { VerifyRow } from '../../core/pipeline/verify.ts';
import { createPaint, type Style } from '../view/color.ts';
import { formatCount, plural } from '../view/format.ts';
import { pad } from '../view/width.ts';
import { failureLines, type Layout } from './tags.ts';

const styles: Record<VerifyRow['state'], Style> = {
  ok: 'green',
  empty: 'dim',
  differs: 'red',
  missing: 'red',
  surplus: 'red',
  incomplete: 'red',
  unreadable: 'yellow',
};

/** Artifacts named of one tag. */
const MOST_LACKING = 5;

/** The width of the first column: `unreadable` and two blanks. */
const indent = 12;

/**
 * Every destination tag that does not hold what it should, with both digests in full. `all` lists the good ones too.
 */
export function renderVerify(options: {
  rows: VerifyRow[];
  detail: 'problems' | 'changes' | 'all';
  color: boolean;
  columns: number | undefined;
  now: number;
}): string {
  const { rows, detail, columns, now } = options;
  const layout: Layout = { paint: createPaint(options.color), columns, now };
  const { paint } = layout;
  const isWell = ({ state }: VerifyRow) => state === 'ok' || state === 'empty';
  const shown = detail === 'all' ? rows : rows.filter((row) => !isWell(row));
  if (detail === 'problems' && shown.length === 0) return '';

  const blanks = ' '.repeat(indent);
  const lines = shown.flatMap((row) => [
    `${paint(styles[row.state], pad(row.state, 10))}  ${formatTarget(row.destination)}`,
    ...(row.state === 'differs' ? [`${blanks}has    ${row.actual ?? 'unknown'}`] : []),
    ...(row.state === 'empty' ? [`${blanks}the source has no image for the rule's platforms`] : []),
    ...(row.state === 'surplus' ? [`${blanks}the rule does not bring it any more`] : []),
    ...(row.state === 'differs' || row.state === 'missing' ? [`${blanks}wanted ${row.expected ?? 'unknown'}`] : []),
    ...(row.lacks ?? []).slice(0, MOST_LACKING).map((name) => `${blanks}lacks  ${name}`),
    ...((row.lacks?.length ?? 0) > MOST_LACKING
      ? [`${blanks}and ${(row.lacks?.length ?? 0) - MOST_LACKING} more`]
      : []),
    ...(row.failure === undefined ? [] : failureLines(row.failure, layout, indent)),
  ]);
  const count = (state: VerifyRow['state']) => rows.filter((row) => row.state === state).length;
  const counts = (['ok', 'empty', 'differs', 'missing', 'incomplete', 'surplus', 'unreadable'] as const)
    .map((state) => ({ state, tags: count(state) }))
    .filter(({ state, tags }) => tags > 0 || state === 'ok')
    .map(({ state, tags }) => `${formatCount(tags)} ${state}`)
    .join(', ');
  const isWrong = rows.some(({ state }) => ['differs', 'missing', 'incomplete'].includes(state));
  const next = isWrong ? 'copy them again' : count('surplus') > 0 && 'delete them';
  return `${[
    ...lines,
    ...(lines.length > 0 ? [''] : []),
    `${paint('bold', plural(rows.length, 'destination tag'))}: ${counts}`,
    ...(next ? [`Next: ${paint('bold', 'tranship sync')}  ${next}`] : []),
  ].join('\n')}\n`;
}
