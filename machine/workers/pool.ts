import { cpus } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Gate } from '../../core/copy/gate.ts';
import type { BlobMove, BlobMover, MoveEnd, MoveWatch } from '../../core/copy/mover.ts';
import { TranshipError, toTranshipError } from '../../core/model/errors.ts';
import { abortedError, onAbort } from '../../core/registry/abort.ts';
import type { RegistryClient } from '../../core/registry/client.ts';
import { warnOnce } from '../../core/registry/headers/warning.ts';
import { paceOf } from '../../core/registry/pace.ts';
import { quirksOf } from '../../core/registry/quirks.ts';
import { foundEndpoints } from '../../core/registry/wire/endpoint.ts';
import { type Load, leastLoaded, needsThread } from './load.ts';
import {
  type MoveOrder,
  type Order,
  packError,
  type Report,
  type ThreadSettings,
  unpackError,
  uploadQuirks,
} from './messages.ts';

export interface MoverPoolOptions {
  /** The main thread's. It says which logins, endpoints and quirks a thread uses, and shares its connections with them. */
  client: RegistryClient;
  /** Threads that move blobs, the main thread included. */
  workers: number;
  /** Shut while other copies go first. */
  gate?: Gate;
  /** When one more thread is started; by default when those that there are cannot do more. */
  needsThread?: (load: Load) => boolean;
  /** How often the load is looked at. */
  lookEveryMs?: number;
  /** The file of a thread. */
  entry?: URL;
}

/** Threads that move blobs beside the main thread. */
export interface MoverPool {
  mover: BlobMover;
  /** How many threads can take moves. */
  threads(): number;
  /** Ends all threads. Moves that they have in hand fail. */
  close(): Promise<void>;
}

/** To hand over a blob costs as much as to move some 100 KiB; a thread is worth it where there are blobs of many MiB. */
export const THREAD_FROM_BYTES = 4 * 1024 * 1024;
const LOOK_EVERY_MS = 500;
/** A thread without work ends after so long: serve runs for months. */
const IDLE_MS = 30_000;
/** After so many threads have died, the main thread moves all blobs. */
const MOST_DEATHS = 3;
/** The buffers that blobs go through are not part of V8's heap. A small young generation keeps a thread small. */
const resourceLimits = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 192 };

/** Beside the bundled command lies the bundled thread. */
const ownEntry = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.cjs', import.meta.url);

interface Thread {
  worker: Worker;
  /** It can take moves. */
  isReady: boolean;
  /** By id. */
  moves: Map<number, HandedMove>;
  idleTimer?: NodeJS.Timeout;
  /** Where its event loop was when it was last looked at. */
  loop?: ReturnType<typeof performance.eventLoopUtilization>;
}

interface HandedMove {
  move: BlobMove;
  watch: MoveWatch;
  settle(ends: MoveEnd[]): void;
}

/**
 * A pool that starts no thread while the main thread can do all there is to do. The main thread decides everything: it
 * hands over moves, and gets back how they ended. A thread that dies is a failure of its moves that may pass.
 */
export function createMoverPool(options: MoverPoolOptions): MoverPool {
  const { client, gate } = options;
  const threads = new Set<Thread>();
  /** Large blobs that the main thread moves itself. */
  let ownMoves = 0;
  let lastId = 0;
  let deaths = 0;
  let isClosed = false;
  let looking: NodeJS.Timeout | undefined;
  const stopShut = gate?.onShut(() => tellAll({ type: 'gate', isShut: true }));
  const stopOpen = gate?.onOpen(() => tellAll({ type: 'gate', isShut: false }));

  function tell({ worker }: Thread, order: Order): void {
    worker.postMessage(order);
  }

  function tellAll(order: Order): void {
    for (const thread of threads) tell(thread, order);
  }

  function mayStart(): boolean {
    return !isClosed && deaths < MOST_DEATHS && threads.size < options.workers - 1;
  }

  function readyThreads(): Thread[] {
    return [...threads].filter(({ isReady }) => isReady);
  }

  /** Looks at the load while there are two large blobs at least: one alone cannot be shared out. */
  function watchLoad(): void {
    const moves = [...threads].reduce((sum, thread) => sum + thread.moves.size, ownMoves);
    if (moves < 2 || !mayStart()) {
      clearInterval(looking);
      looking = undefined;
      return;
    }
    if (looking !== undefined) return;
    let before = takeSample();
    for (const thread of threads) thread.loop = thread.worker.performance.eventLoopUtilization();
    looking = setInterval(() => {
      const now = takeSample();
      const elapsed = now.at - before.at;
      const loops = [performance.eventLoopUtilization(now.loop, before.loop).utilization];
      const mainCpu = (now.cpuMs - before.cpuMs) / elapsed;
      const idleCores = (now.idleMs - before.idleMs) / elapsed;
      before = now;
      const isStarting = [...threads].some(({ isReady }) => !isReady);
      for (const thread of threads) {
        const last = thread.loop;
        thread.loop = thread.worker.performance.eventLoopUtilization();
        loops.push(thread.worker.performance.eventLoopUtilization(thread.loop, last).utilization);
      }
      if (!isStarting && mayStart() && (options.needsThread ?? needsThread)({ loops, mainCpu, idleCores })) start();
    }, options.lookEveryMs ?? LOOK_EVERY_MS).unref();
  }

  function start(): void {
    const { userAgent, allowedRealms } = client.options;
    const workerData: ThreadSettings = { userAgent, allowedRealms, isGateShut: gate?.isShut() ?? false };
    let worker: Worker;
    try {
      worker = new Worker(options.entry ?? ownEntry, { workerData, resourceLimits, name: 'tranship mover' });
    } catch (error) {
      // Where a limit of processes or memory is reached.
      deaths += 1;
      warnOnce(client, 'threads', `a thread that moves blobs cannot be started: ${toTranshipError(error).message}`);
      return;
    }
    worker.unref();
    const thread: Thread = { worker, isReady: false, moves: new Map() };
    threads.add(thread);
    let failure: unknown;
    worker.on('error', (error) => {
      failure = error;
    });
    worker.on('exit', () => ended(thread, failure));
    worker.on('message', (report: Report) => hear(thread, report));
  }

  function ended(thread: Thread, failure: unknown): void {
    if (!threads.delete(thread)) return;
    clearTimeout(thread.idleTimer);
    const reason = failure instanceof Error ? failure.message : 'it was ended';
    if (!isClosed) {
      deaths += 1;
      warnOnce(client, 'threads', `a thread that moves blobs has ended: ${reason}`);
    }
    const error = new TranshipError(`the thread that moved the blob has ended: ${reason}`, {
      class: 'transient',
      code: 'network',
    });
    for (const { move, watch, settle } of thread.moves.values()) {
      const why = watch.signal.aborted ? abortedError(watch.signal) : error;
      settle(move.sessions.map(() => ({ kind: 'failed', error: why })));
    }
  }

  function hear(thread: Thread, report: Report): void {
    switch (report.type) {
      case 'ready':
        thread.isReady = true;
        rest(thread);
        break;
      case 'progress': {
        const watch = thread.moves.get(report.id)?.watch;
        watch?.onRead(report.read);
        watch?.onBytes(report.bytes);
        break;
      }
      case 'moved':
        moved(thread, report);
        break;
      case 'login-wanted':
        void answerLogin(thread, report);
        break;
      case 'warning':
        warnOnce(client, report.topic, report.message);
    }
  }

  function moved(thread: Thread, { id, ends, quirks }: Report & { type: 'moved' }): void {
    const handed = thread.moves.get(id);
    if (handed === undefined) return;
    const { move, watch, settle } = handed;
    for (const [index, { repository }] of move.sessions.entries()) {
      Object.assign(quirksOf(client, repository.registry), quirks[index]);
    }
    const results = ends.map((end): MoveEnd => {
      if (end.kind === 'good') return { kind: 'sent', session: end.value };
      const error = unpackError(end.error);
      if (error.class === 'throttled' && error.site.registry !== undefined) {
        paceOf(client, error.site.registry).noteRefusal();
      }
      const isStopped = error.code === 'aborted' && watch.signal.aborted;
      return { kind: 'failed', error: isStopped ? abortedError(watch.signal) : error };
    });
    settle(results);
  }

  async function answerLogin(thread: Thread, { id, repository, fresh }: Report & { type: 'login-wanted' }) {
    const warn = (message: string) => warnOnce(client, 'logins', message);
    try {
      const value = await client.options.credentials.lookup(repository, { fresh, warn });
      tell(thread, { type: 'login', id, found: { kind: 'good', value } });
    } catch (error) {
      tell(thread, { type: 'login', id, found: { kind: 'bad', error: packError(toTranshipError(error)) } });
    }
  }

  /** Ends a thread when it has had nothing to do for a while. */
  function rest(thread: Thread): void {
    if (thread.moves.size > 0) return;
    thread.worker.unref();
    thread.idleTimer = setTimeout(() => {
      if (threads.delete(thread)) void thread.worker.terminate();
    }, IDLE_MS).unref();
  }

  async function hand(thread: Thread, move: BlobMove, watch: MoveWatch): Promise<MoveEnd[]> {
    const { worker, moves } = thread;
    lastId += 1;
    const id = lastId;
    clearTimeout(thread.idleTimer);
    worker.ref();
    const registries = registriesOf(move);
    for (const registry of registries) client.lent.set(registry, (client.lent.get(registry) ?? 0) + 1);
    const abort = () => tell(thread, { type: 'abort', id });
    const ignoreSignal = onAbort(watch.signal, abort);
    try {
      const ended = new Promise<MoveEnd[]>((settle) => {
        moves.set(id, { move, watch, settle });
      });
      const order: MoveOrder = {
        move,
        endpoints: foundEndpoints(client, registries),
        quirks: move.sessions.map(({ repository }) => uploadQuirks(quirksOf(client, repository.registry))),
        isGated: watch.gate !== undefined,
      };
      tell(thread, { type: 'move', id, ...order });
      if (watch.signal.aborted) abort();
      return await ended;
    } finally {
      ignoreSignal();
      moves.delete(id);
      for (const registry of registries) client.lent.set(registry, (client.lent.get(registry) ?? 1) - 1);
      if (threads.has(thread)) rest(thread);
    }
  }

  /** A thread for a move, where one has less to do than the main thread and the registries' connections suffice. */
  function threadFor(move: BlobMove): Thread | undefined {
    const ready = readyThreads();
    if (ready.length === 0) return undefined;
    // What a mirror was asked for before is known here alone.
    if ((client.options.mirrors?.(move.source) ?? []).length > 0) return undefined;
    const most = client.options.connectionsPerRegistry;
    if (registriesOf(move).some((registry) => (client.lent.get(registry) ?? 0) + 1 >= most)) return undefined;
    const position = leastLoaded(
      ownMoves,
      ready.map(({ moves }) => moves.size),
    );
    return position === undefined ? undefined : ready[position];
  }

  return {
    async mover(move, watch, here) {
      if (move.size < THREAD_FROM_BYTES || options.workers < 2) return here();
      const thread = threadFor(move);
      if (thread !== undefined) {
        const handed = hand(thread, move, watch);
        watchLoad();
        return await handed.finally(watchLoad);
      }
      ownMoves += 1;
      watchLoad();
      try {
        return await here();
      } finally {
        ownMoves -= 1;
        watchLoad();
      }
    },
    threads: () => readyThreads().length,
    async close() {
      isClosed = true;
      clearInterval(looking);
      stopShut?.();
      stopOpen?.();
      const all = [...threads];
      await Promise.all(all.map(({ worker }) => worker.terminate()));
      for (const thread of all) ended(thread, undefined);
    },
  };
}

/** What the load is reckoned from: times so far, in ms, and the main thread's loop. */
function takeSample() {
  const { user, system } = process.threadCpuUsage();
  return {
    at: performance.now(),
    loop: performance.eventLoopUtilization(),
    cpuMs: (user + system) / 1000,
    /** Of all cores of the machine together. */
    idleMs: cpus().reduce((sum, { times }) => sum + times.idle, 0),
  };
}

function registriesOf({ source, sessions }: BlobMove): string[] {
  return [...new Set([source.registry, ...sessions.map(({ repository }) => repository.registry)])];
}
