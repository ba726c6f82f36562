import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import { createPaint, type Paint } from './color.ts';
import { formatClock } from './format.ts';
import { frameLines } from './frame.ts';
import { createEventLines } from './lines.ts';
import type { Output, View } from './output.ts';
import { createProgress, taskKey } from './progress.ts';
import { widthOf } from './width.ts';

const frameEveryMs = 100;
const defaultColumns = 80;
const defaultRows = 24;

/** What the live view needs of a terminal. */
export interface Terminal extends Output {
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
  writableNeedDrain: boolean;
  columns?: number;
  rows?: number;
}

/**
 * For a terminal: a block at the bottom that is redrawn in place at most ten times a second, and above it lines about
 * what is finished, which scroll away as usual. A frame is one write that overwrites line by line and never clears the
 * screen first, so nothing flickers. The view keeps no process alive.
 */
export function createLiveView(options: {
  terminal: Terminal;
  color: boolean;
  verbose: boolean;
  now: () => number;
}): View {
  const { terminal, verbose, now } = options;
  const paint: Paint = createPaint(options.color);
  const progress = createProgress();
  const eventLines = createEventLines();
  let pending: string[] = [];
  let drawn: string[] = [];
  let isClosed = false;

  let drawnColumns = 0;

  const draw = (lines: string[]) => {
    const columns = terminal.columns || defaultColumns;
    const isResized = columns !== drawnColumns;
    const isSame = lines.length === drawn.length && lines.every((line, at) => line === drawn[at]);
    if (isSame && pending.length === 0 && !isResized) return;
    terminal.write(frame({ drawn, pending, lines, columns, isResized }));
    drawnColumns = columns;
    pending = [];
    drawn = lines;
  };
  const tick = () => {
    const at = now();
    progress.sample(at);
    // A slow terminal, as over ssh, misses frames. They must not pile up in memory.
    if (terminal.writableNeedDrain) return;
    draw(
      frameLines({
        progress,
        paint,
        now: at,
        columns: terminal.columns || defaultColumns,
        rows: terminal.rows || defaultRows,
      }),
    );
  };
  const timer = setInterval(tick, frameEveryMs);
  timer.unref();
  terminal.on('resize', tick);

  return {
    emit(event: PipelineEvent) {
      if (isClosed) return;
      const at = now();
      const startedAt = event.type === 'task-finished' ? progress.tasks.get(taskKey(event.task)) : undefined;
      progress.apply(event, at);
      const tookMs = startedAt === undefined ? undefined : at - startedAt;
      for (const line of eventLines(event, { paint, now: at, verbose, tookMs })) {
        pending.push(`${paint('dim', formatClock(at, at))} ${line}`);
      }
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      clearInterval(timer);
      terminal.off('resize', tick);
      draw([]);
    },
  };
}

/**
 * One write that replaces the drawn block by the pending lines and a new block. The cursor rests on the line below the
 * block and is hidden only within the write, so a killed process leaves the terminal in order. Terminals that do not
 * know synchronised output (mode 2026) ignore it.
 */
export function frame(block: {
  drawn: string[];
  pending: string[];
  lines: string[];
  columns: number;
  isResized: boolean;
}): string {
  const { drawn, pending, lines, columns, isResized } = block;
  // A terminal that gets narrower wraps the drawn lines again, so the block gets higher. Those rows are cleared first,
  // or the terminal would still treat them as one line.
  const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)), 0);
  const up = (rows > 0 ? `\x1b[${rows}A` : '') + (isResized ? '\x1b[J' : '');
  const text = [...pending, ...lines].map((line) => `${line}\x1b[K\n`).join('');
  return `\x1b[?2026h\x1b[?25l\r${up}${text}\x1b[J\x1b[?25h\x1b[?2026l`;
}
