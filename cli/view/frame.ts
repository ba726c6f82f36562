import type { Paint } from './color.ts';
import { formatBytes, formatCount, formatDuration, formatRemaining, plural, shortDigest } from './format.ts';
import type { BlobInFlight, Progress } from './progress.ts';
import { clean } from './text.ts';
import { clip, clipMiddle, pad } from './width.ts';

const maxBlobLines = 8;
const maxParkLines = 4;
const barWidth = 24;

/**
 * The block of the live view: tags, bytes, blobs in flight, parked registries. It is less wide and less high than the
 * terminal.
 */
export function frameLines(context: {
  progress: Progress;
  paint: Paint;
  now: number;
  columns: number;
  rows: number;
}): string[] {
  const { progress, paint, now, rows } = context;
  // A line that fills the last column makes some terminals wrap and others not.
  const width = context.columns - 1;
  const parks = [...progress.parks].slice(0, maxParkLines);
  const blobRows = Math.min(maxBlobLines, Math.max(0, rows - 4 - parks.length));
  const blobs = [...progress.blobs.values()];
  const shown = blobs.slice(0, blobs.length > blobRows ? Math.max(0, blobRows - 1) : blobRows);
  const more = blobs.length - shown.length;

  const lines = [
    tagsLine(progress, paint, width),
    bytesLine(progress, paint, width, now),
    ...shown.map((blob) => blobLine(blob, paint, width)),
    ...(more > 0 ? [paint('dim', clip(`  and ${plural(more, 'more blob', 'more blobs')}`, width))] : []),
    ...parks.map(([registry, { until, reason }]) => {
      const text = `  ${registry} parked for ${formatDuration(until - now)}: ${clean(reason)}`;
      return paint('yellow', clip(text, width));
    }),
  ];
  return lines.slice(0, Math.max(1, rows - 1));
}

function tagsLine(progress: Progress, paint: Paint, width: number): string {
  const { planned, counts } = progress;
  const done = progress.done();
  const label = `${formatCount(done)} of ${plural(planned, 'tag')}`;
  const tail = [
    counts.copied > 0 && `${formatCount(counts.copied)} copied`,
    counts.deleted > 0 && `${formatCount(counts.deleted)} deleted`,
    counts.unchanged > 0 && `${formatCount(counts.unchanged)} unchanged`,
    counts.failed > 0 && `${formatCount(counts.failed)} failed`,
    counts.deferred > 0 && `${formatCount(counts.deferred)} deferred`,
  ]
    .filter((part) => part !== false)
    .join(', ');
  const barColumns = Math.min(barWidth, width - label.length - 2);
  if (barColumns < 5) return paint('bold', clip(label, width));
  const left = width - label.length - barColumns - 4;
  const text = left > 8 ? `  ${clip(tail, left)}` : '';
  return `${paint('bold', label)}  ${bar(planned === 0 ? 0 : done / planned, barColumns, paint)}${text}`;
}

function bytesLine(progress: Progress, paint: Paint, width: number, now: number): string {
  const leftMs = progress.leftMs(now);
  const parts = [
    `${formatBytes(progress.bytesMoved)} moved`,
    progress.blobs.size > 0 && `${formatBytes(progress.bytesPerSecond)}/s`,
    progress.tasks.size > 0 && `${plural(progress.tasks.size, 'tag')} in hand`,
    leftMs !== undefined && `about ${formatRemaining(leftMs)} left`,
  ];
  return paint('dim', clip(parts.filter((part) => part !== false).join(', '), width));
}

/** `  sha256:4f4fb700 library/nginx      ━━━━━━━━━━──────────────  41%  12.4 of 29.7 MiB`, what fits of it. */
function blobLine(blob: BlobInFlight, paint: Paint, width: number): string {
  const share = blob.size > 0 ? Math.min(1, blob.bytes / blob.size) : 1;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const name = shortDigest(blob.digest);
  // Blanks: 2 in front, 1 after the name, 2 before the percentage.
  const rest = width - 2 - name.length - percent.length - 3;
  if (rest < 8) return clip(`  ${name} ${percent}`, width);

  const sizes = pad(`${formatBytes(blob.bytes)} of ${formatBytes(blob.size)}`, 22, 'right');
  const hasSizes = rest >= 12 + barWidth + sizes.length;
  const barColumns = rest >= 12 + 12 ? Math.min(barWidth, rest - 12 - (hasSizes ? sizes.length : 0)) : 0;
  const nameColumns = Math.min(44, rest - barColumns - (hasSizes ? sizes.length : 0));
  const repository = pad(clipMiddle(blob.repository, nameColumns - 1), nameColumns);
  const shownBar = barColumns > 0 ? bar(share, barColumns, paint) : '';
  return `  ${paint('cyan', name)} ${repository}${shownBar} ${percent}${hasSizes ? paint('dim', sizes) : ''}`;
}

function bar(share: number, columns: number, paint: Paint): string {
  const full = Math.floor(Math.max(0, Math.min(1, share)) * columns);
  return paint('green', '━'.repeat(full)) + paint('dim', '─'.repeat(columns - full));
}
