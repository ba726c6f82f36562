import stringWidth from 'string-width';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { frameLines } from '../../cli/view/frame.ts';
import { formatJsonLine } from '../../cli/view/json.ts';
import { frame } from '../../cli/view/live.ts';
import { createProgress, type Progress } from '../../cli/view/progress.ts';

import { chooseMode, createView, type ViewMode } from '../../cli/view/view.ts';
import type { Failure } from '../../core/model/errors.ts';
import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';

const ruleId = 'docker.io/library/nginx';
const startedAt = Date.UTC(2026, 10, 24, 3, 0, 0);
const denied: Failure = {
  class: 'permanent',
  code: 'denied',
  message: 'no\x1b[2J right\nto push',
  mend: 'Ask for it.',
};

function taskOf(tag: string, destinations = 1): Task {
  return {
    version: 1,
    runId: 'run-1',
    ruleId,
    source: { registry: 'docker.io', repository: 'library/nginx', tag },
    destinations: Array.from({ length: destinations }, (_, at) => ({
      registry: `r${at}.example.com`,
      repository: 'nginx',
      tag,
    })),
    platforms: { platforms: [], os: [], arch: [] },
    force: false,
    plannedAt: startedAt,
    attempt: 0,
  };
}

function finished(task: Task, result: Outcome['result'] = 'copied', extra: Partial<Outcome> = {}): PipelineEvent {
  const { runId, source } = task;
  const counts = { bytes: 1024, mounted: 0, present: 0 };
  const outcomes = task.destinations.map((destination) => {
    return { runId, ruleId, source, destination, result, ...counts, at: startedAt, ...extra };
  });
  return { type: 'task-finished', task, outcomes };
}

const blobStarted = (id: number, size: number, destinations = 1): PipelineEvent => ({
  type: 'blob-started',
  id,
  digest: `sha256:${String(id).padStart(64, '0')}`,
  size,
  source: { registry: 'docker.io', repository: 'library/nginx' },
  destinations: taskOf('1', destinations).destinations,
});

function progressOf(...events: PipelineEvent[]): Progress {
  const progress = createProgress();
  for (const event of events) progress.apply(event, startedAt);
  return progress;
}

const planned = (tags: number, unchanged: number): PipelineEvent => {
  return { type: 'rule-planned', ruleId, planned: tags, unchanged, tasks: tags - unchanged };
};

describe('progress', () => {
  it('counts destination tags, each once however often its task is delivered', () => {
    const task = taskOf('1.27', 2);
    const progress = progressOf(
      planned(10, 6),
      { type: 'task-started', task },
      finished(task, 'deferred'),
      finished(task),
    );
    expect(progress.planned).toBe(10);
    expect(progress.counts).toEqual({ copied: 2, deleted: 0, unchanged: 6, failed: 0, deferred: 0 });
    expect(progress.done()).toBe(8);
    expect(progress.tasks.size).toBe(0);
  });

  it('of a redrive, that plans nothing, is never above its total', () => {
    const progress = progressOf(finished(taskOf('1')));
    expect([progress.done(), progress.planned]).toEqual([1, 1]);
  });

  it('counts what is written to each destination, and again what is sent again', () => {
    const progress = progressOf(
      blobStarted(1, 1000, 2),
      { type: 'blob-progress', id: 1, bytes: 400 },
      { type: 'blob-progress', id: 1, bytes: 1000 },
      { type: 'blob-progress', id: 1, bytes: 100 },
    );
    expect(progress.bytesMoved).toBe(2200);
  });

  it('has a rate that settles on the real one and goes to rest', () => {
    const progress = progressOf(blobStarted(1, 1e9));
    let now = startedAt;
    progress.sample(now);
    for (let second = 1; second <= 60; second++) {
      now += 1000;
      progress.apply({ type: 'blob-progress', id: 1, bytes: second * 1e6 }, now);
      progress.sample(now);
    }
    expect(progress.bytesPerSecond).toBeCloseTo(1e6, -3);
    for (let second = 0; second < 120; second++) {
      now += 1000;
      progress.sample(now);
    }
    expect(progress.bytesPerSecond).toBe(0);
  });

  it('guesses the time left from the pace, once there is one', () => {
    const progress = progressOf(planned(10, 0));
    const run = (tag: string, at: number) => {
      progress.apply({ type: 'task-started', task: taskOf(tag) }, at);
      progress.apply(finished(taskOf(tag)), at + 1000);
    };
    run('1', startedAt);
    run('2', startedAt + 1000);
    expect(progress.leftMs(startedAt + 2000)).toBeUndefined();
    run('3', startedAt + 2000);
    expect(progress.leftMs(startedAt + 3000)).toBe(7000);
  });
});

describe('a frame of the live view', () => {
  const progress = progressOf(
    planned(40, 12),
    ...Array.from({ length: 12 }, (_, id) => blobStarted(id, 1e9)),
    { type: 'blob-progress', id: 0, bytes: 5e8 },
    { type: 'parked', registry: 'docker.io', until: startedAt + 90_000, reason: '配额 spent\x1b[5A (429)' },
  );
  const lines = (columns: number, rows: number) =>
    frameLines({ progress, paint: (_, text) => text, now: startedAt, columns, rows });

  it.each([1, 2, 5, 20, 30, 40, 60, 80, 100, 200])('is narrower than %d columns', (columns) => {
    for (const line of lines(columns, 24)) expect(stringWidth(line)).toBeLessThan(columns);
  });

  it.each([6, 8, 12, 24])('leaves room on %d rows and says what is left out', (rows) => {
    const shown = lines(100, rows);
    expect(shown.length).toBeLessThan(rows);
    expect(shown.join('\n')).toMatch(/and \d+ more blobs/);
  });

  it.each([1, 2, 3, 5])('is never as high as %d rows, or it could not be redrawn', (rows) => {
    expect(lines(100, rows).length).toBeLessThanOrEqual(Math.max(1, rows - 1));
  });

  it('tells tags, bytes, blobs and parked registries', () => {
    const text = lines(100, 24).join('\n');
    expect(text).toContain('12 of 40 tags');
    expect(text).toContain('477 MiB moved');
    expect(text).toMatch(/sha256:00000000 library\/nginx .* 50%\s+477 MiB of 954 MiB/);
    expect(text).toContain('docker.io parked for 1 min 30 s: 配额 spent (429)');
  });

  it('replaces the one before it in place, and counts the rows that a narrower terminal made of it', () => {
    const block = { drawn: ['x'.repeat(90), 'y'], pending: ['log'], lines: ['new'], columns: 100, isResized: false };
    expect(frame(block)).toContain('\r\x1b[2Alog\x1b[K\nnew\x1b[K\n\x1b[J');
    expect(frame({ ...block, columns: 40, isResized: true })).toContain('\r\x1b[4A\x1b[Jlog');
    expect(frame({ ...block, drawn: [] })).toContain('\rlog');
  });
});

describe('views', () => {
  beforeEach(() => void vi.useFakeTimers({ now: startedAt }));
  afterEach(() => void vi.useRealTimers());

  async function show(mode: ViewMode, options: { verbose?: boolean; log?: boolean } = {}) {
    const out: string[] = [];
    const err: string[] = [];
    const logged: string[] = [];
    const resizeListeners = new Set<() => void>();
    const terminal = {
      write: (text: string) => err.push(text),
      on: (_: 'resize', listener: () => void) => resizeListeners.add(listener),
      off: (_: 'resize', listener: () => void) => resizeListeners.delete(listener),
      writableNeedDrain: false,
      columns: 100,
      rows: 24,
    };
    const view = await createView({
      mode,
      stdout: { write: (text) => out.push(text) },
      stderr: terminal,
      color: false,
      verbose: options.verbose ?? false,
      ...(options.log && { log: { write: (text: string) => logged.push(text) } }),
    });
    return { view, out, err, logged, terminal, resizeListeners };
  }

  const unchanged: PipelineEvent = {
    type: 'tag-unchanged',
    ruleId,
    source: taskOf('1.26').source,
    destination: taskOf('1.26').destinations[0]!,
    digest: `sha256:${'a'.repeat(64)}`,
  };

  it('plain: one line for each finished tag, with time, size and how long it took', async () => {
    const { view, err, out } = await show('plain');
    view.emit({ type: 'task-started', task: taskOf('1.27') });
    vi.advanceTimersByTime(3200);
    view.emit(finished(taskOf('1.27'), 'copied', { mounted: 1 }));
    view.emit(unchanged);
    view.close();
    expect(err).toEqual([
      '2026-11-24T03:00:03Z copied    docker.io/library/nginx:1.27 -> r0.example.com/nginx:1.27: 1.0 KiB in 3.2 s, 1 blob mounted\n',
    ]);
    expect(out).toEqual([]);
  });

  it('plain: a failure says why and what to do on its one line, whatever the registry put into its message', async () => {
    const { view, err } = await show('plain');
    view.emit(finished(taskOf('1.27'), 'failed', { failure: denied }));
    view.close();
    expect(err.join('')).toBe(
      '2026-11-24T03:00:00Z failed    docker.io/library/nginx:1.27 -> r0.example.com/nginx:1.27: denied (permanent): no right to push. Ask for it.\n',
    );
  });

  it('plain: progress about every ten seconds while there is work, and not after it', async () => {
    const { view, err } = await show('plain');
    vi.advanceTimersByTime(60_000);
    expect(err).toEqual([]);
    view.emit(planned(4, 1));
    view.emit({ type: 'task-started', task: taskOf('1') });
    vi.advanceTimersByTime(30_500);
    expect(err.filter((line) => line.includes('progress'))).toHaveLength(3);
    expect(err.at(-1)).toContain('1 of 4 tags, 1 in hand, 0 B moved');
    view.emit(finished(taskOf('1')));
    const lines = err.length;
    vi.advanceTimersByTime(60_000);
    view.close();
    expect(err).toHaveLength(lines);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('plain: of many tags that are tried again for one reason the first ten, and that there are more', async () => {
    const retrying = (tag: number, message: string): PipelineEvent => {
      const failure: Failure = { class: 'transient', code: 'network', message };
      return { type: 'task-retrying', task: taskOf(`v${tag}`), failure };
    };
    const all = async (verbose: boolean) => {
      const { view, err } = await show('plain', { verbose });
      for (let tag = 0; tag < 500; tag += 1) view.emit(retrying(tag, 'no connection'));
      view.emit(retrying(500, 'other'));
      vi.advanceTimersByTime(61_000);
      view.emit(retrying(501, 'no connection'));
      view.close();
      return err.join('').trimEnd().split('\n');
    };
    const lines = await all(false);
    expect(lines.slice(0, 10)).toEqual(Array(10).fill(expect.stringMatching(/nginx:v\d: again/)));
    expect(lines.slice(10)).toEqual([
      expect.stringMatching(
        /retrying {2}more tags \(--verbose names them\): again in the next round, after network \(transient\): no connection$/,
      ),
      expect.stringMatching(/nginx:v500: again .*: other$/),
      expect.stringMatching(/nginx:v501: again .*: no connection$/),
    ]);
    expect(await all(true)).toHaveLength(502);
  });

  it('plain: tags in step one by one only where they are wanted', async () => {
    const { view, err } = await show('plain', { verbose: true });
    view.emit(unchanged);
    view.close();
    expect(err.join('')).toContain('unchanged docker.io/library/nginx:1.26 -> r0.example.com/nginx:1.26');
  });

  it('live: at most ten frames a second, each one write; nothing where nothing changed; all gone at the end', async () => {
    const { view, err, resizeListeners } = await show('live');
    view.emit(blobStarted(1, 1e9));
    for (let step = 1; step <= 1000; step++) {
      view.emit({ type: 'blob-progress', id: 1, bytes: step * 1e5 });
      vi.advanceTimersByTime(1);
    }
    expect(err.length).toBeGreaterThan(5);
    expect(err.length).toBeLessThanOrEqual(10);
    view.emit(finished(taskOf('1')));
    view.close();
    view.emit(finished(taskOf('2')));
    expect(err.at(-1)).toContain('\r\x1b[3A');
    expect(err.at(-1)).toMatch(/\d\d:\d\d:\d\d copied /);
    expect(err.at(-1)!.split('\n')).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
    expect(resizeListeners.size).toBe(0);
  });

  it('live: a slow terminal gets no frames, and later every line', async () => {
    const { view, err, terminal } = await show('live');
    terminal.writableNeedDrain = true;
    view.emit(finished(taskOf('1')));
    vi.advanceTimersByTime(1000);
    expect(err).toEqual([]);
    terminal.writableNeedDrain = false;
    view.emit(finished(taskOf('2')));
    vi.advanceTimersByTime(1000);
    view.close();
    expect(err.join('').match(/ copied /g)?.length).toBeGreaterThanOrEqual(2);
    expect(err[0]).toMatch(/nginx:1 .*\n.*nginx:2 /);
  });

  it('json: documents by line on stdout, an outcome for every tag, the run at the end, nothing on stderr', async () => {
    const { view, out, err } = await show('json');
    view.emit(planned(3, 1));
    view.emit(unchanged);
    view.emit(finished(taskOf('1.27'), 'copied', { bytes: Number.MAX_SAFE_INTEGER }));
    view.emit(
      finished(taskOf('1.28'), 'deferred', {
        failure: { class: 'throttled', code: 'throttled', message: 'later', retryAt: startedAt },
      }),
    );
    view.emit({ type: 'task-retrying', task: taskOf('1'), failure: denied });
    view.emit({ type: 'parked', registry: 'docker.io', until: startedAt, reason: 'quota' });
    view.emit({ type: 'warning', message: 'odd' });
    view.close({
      id: 'run-1',
      trigger: 'images.yaml',
      startedAt,
      endedAt: startedAt + 1,
      state: 'done',
      ruleFailures: [{ ruleId: 'x', failure: denied }],
      counts: { planned: 3, copied: 1, deleted: 0, unchanged: 1, failed: 0, deferred: 1, bytes: 5 },
    });
    const lines = out.map((line) => JSON.parse(line));
    expect(out.every((line) => line.indexOf('\n') === line.length - 1)).toBe(true);
    expect(lines.map(({ type }) => type)).toEqual([
      'rule',
      'outcome',
      'outcome',
      'outcome',
      'retry',
      'parked',
      'warning',
      'run',
    ]);
    expect(lines[1]).toMatchObject({ result: 'unchanged', source: 'docker.io/library/nginx:1.26', bytes: 0 });
    expect(lines[2]).toMatchObject({ result: 'copied', bytes: 9007199254740991, at: '2026-11-24T03:00:00.000Z' });
    expect(lines[3].failure).toEqual({
      class: 'throttled',
      code: 'throttled',
      message: 'later',
      retryAt: '2026-11-24T03:00:00.000Z',
    });
    expect(lines[7]).toMatchObject({
      run: 'run-1',
      planned: 3,
      deferred: 1,
      ruleFailures: [{ rule: 'x', failure: { code: 'denied' } }],
    });
    expect(err).toEqual([]);
  });

  it('json: integers of any size', () => {
    expect(formatJsonLine({ type: 't', small: 5n, big: 2n ** 60n })).toBe(
      '{"type":"t","small":5,"big":"1152921504606846976"}\n',
    );
  });

  it('quiet: warnings alone; a log file has its lines all the same', async () => {
    const { view, out, err, logged } = await show('quiet', { log: true });
    view.emit(finished(taskOf('1')));
    view.emit({ type: 'warning', message: 'odd' });
    view.close();
    expect([out, err]).toEqual([[], ['warning: odd\n']]);
    expect(logged).toHaveLength(2);
  });

  it.each<[Parameters<typeof chooseMode>[0], ViewMode]>([
    [{ flags: { json: false, quiet: false, log: undefined }, env: {}, isTTY: true }, 'live'],
    [{ flags: { json: false, quiet: false, log: undefined }, env: { CI: 'true' }, isTTY: true }, 'plain'],
    [{ flags: { json: false, quiet: false, log: undefined }, env: { TERM: 'dumb' }, isTTY: true }, 'plain'],
    [{ flags: { json: false, quiet: false, log: undefined }, env: {}, isTTY: false }, 'plain'],
    [{ flags: { json: false, quiet: false, log: 'f' }, env: {}, isTTY: false }, 'quiet'],
    [{ flags: { json: false, quiet: false, log: 'f' }, env: {}, isTTY: true }, 'live'],
    [{ flags: { json: true, quiet: true, log: 'f' }, env: {}, isTTY: true }, 'json'],
  ])('%j is shown %s', (source, mode) => {
    expect(chooseMode(source)).toBe(mode);
  });
});
