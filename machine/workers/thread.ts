import type { MessagePort } from 'node:worker_threads';
import { listen } from '../../core/copy/gate.ts';
import { moveBlob } from '../../core/copy/mover.ts';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { quirksOf } from '../../core/registry/quirks.ts';
import type { FoundEndpoint } from '../../core/registry/state.ts';
import { openRegistries } from '../registries.ts';
import {
  type MoveOrder,
  type Order,
  packError,
  type Report,
  type ThreadSettings,
  unpackError,
  uploadQuirks,
} from './messages.ts';

/** Bytes, and ms, after which the main thread is told how far a move has come. */
const TELL_AFTER = { bytes: 1024 * 1024, ms: 100 };

/**
 * A thread that moves blobs: it reads, hashes and sends. What is moved, when, and what becomes of a failure is the main
 * thread's to decide; so are logins, which are asked for when they are needed.
 */
function run(port: MessagePort, settings: ThreadSettings): void {
  const tell = (report: Report) => port.postMessage(report);
  const moves = new Map<number, AbortController>();
  const logins = new Map<number, PromiseWithResolvers<AuthEntry | undefined>>();
  const endpoints = new Map<string, FoundEndpoint>();
  const gate = createRemoteGate(settings.isGateShut);
  let lastLogin = 0;
  const client = openRegistries({
    userAgent: settings.userAgent,
    allowedRealms: settings.allowedRealms,
    credentials: {
      lookup(repository, { fresh = false } = {}) {
        lastLogin += 1;
        const answer = Promise.withResolvers<AuthEntry | undefined>();
        logins.set(lastLogin, answer);
        tell({ type: 'login-wanted', id: lastLogin, repository, fresh });
        return answer.promise;
      },
    },
    warn: (message, topic) => tell({ type: 'warning', topic, message }),
    // The main thread reads the same files, and tells what is wrong with them.
    warnOfFiles: () => {},
    foundEndpoint: (registry) => endpoints.get(registry),
  });

  async function move(id: number, order: MoveOrder): Promise<void> {
    const abort = new AbortController();
    moves.set(id, abort);
    for (const endpoint of order.endpoints) endpoints.set(endpoint.registry, endpoint);
    const known = order.move.sessions.map(({ repository }) => quirksOf(client, repository.registry));
    for (const [index, quirks] of known.entries()) Object.assign(quirks, order.quirks[index]);
    const progress = createProgress((bytes, read) => tell({ type: 'progress', id, bytes, read }));
    const ends = await moveBlob(client, order.move, {
      signal: abort.signal,
      gate: order.isGated ? gate : undefined,
      onBytes: progress.onBytes,
      onRead: progress.onRead,
    });
    progress.flush();
    moves.delete(id);
    tell({
      type: 'moved',
      id,
      ends: ends.map((end) =>
        end.kind === 'sent' ? { kind: 'good', value: end.session } : { kind: 'bad', error: packError(end.error) },
      ),
      quirks: known.map(uploadQuirks),
    });
  }

  port.on('message', (order: Order) => {
    switch (order.type) {
      case 'move':
        return void move(order.id, order);
      case 'abort':
        return moves.get(order.id)?.abort();
      case 'gate':
        return gate.turn(order.isShut);
      case 'login': {
        const { id, found } = order;
        const answer = logins.get(id);
        logins.delete(id);
        if (found.kind === 'good') answer?.resolve(found.value);
        else answer?.reject(unpackError(found.error));
      }
    }
  });
  tell({ type: 'ready' });
}

/** The main thread's gate, as this thread knows it. */
function createRemoteGate(isShutAtFirst: boolean) {
  const callbacks = new Set<() => void>();
  let isShut = isShutAtFirst;
  return {
    isShut: () => isShut,
    onOpen: (callback: () => void) => listen(callbacks, callback),
    turn(shut: boolean) {
      const wasShut = isShut;
      isShut = shut;
      if (wasShut && !shut) for (const callback of callbacks) callback();
    },
  };
}

/** Gathers what is told of the bytes of a move. */
function createProgress(tell: (bytes: number, read: number) => void) {
  let bytes = 0;
  let read = 0;
  let toldAt = performance.now();
  const flush = () => {
    if (bytes > 0 || read > 0) tell(bytes, read);
    bytes = 0;
    read = 0;
    toldAt = performance.now();
  };
  return {
    flush,
    // Called for each part before `onBytes`.
    onRead(more: number) {
      read += more;
    },
    onBytes(more: number) {
      bytes += more;
      if (bytes >= TELL_AFTER.bytes || performance.now() - toldAt >= TELL_AFTER.ms) flush();
    },
  };
}

// Not imported: the main thread, which shares a file with this, would load it at its start.
const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
if (parentPort !== null) run(parentPort, workerData);
else throw new Error('this file is run in a worker thread');
