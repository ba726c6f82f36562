import type { OnReadOpts, Socket } from 'node:net';

/**
 * Where a socket's bytes land: in buffers that are used again and again, in place of a new one and an event for each
 * read. Such buffers can only be given to a socket when it is made (`onread` of net.Socket).
 */
export interface Landing {
  readonly onread: OnReadOpts;
  /** Told of each read: bytes of a buffer, which are valid until this returns, unless it is a slab's. */
  onBytes: (buffer: Buffer, start: number, end: number, slab: Slab | undefined) => void;
  /** Whether the next bytes shall land in a slab. Only what is long is worth that. */
  usesSlabs: boolean;
  /** Has bytes that landed elsewhere in a slab, as if they had landed there; the next ones follow. */
  moveToSlab(bytes: Buffer): Slab;
}

/** Memory that bytes land in, part after part. It is used again when nobody holds it any more. */
export interface Slab {
  readonly memory: Buffer;
  /** Bytes that have landed. */
  used: number;
  holders: number;
}

const SLAB_BYTES = 256 * 1024;
/** TLS hands over 16 KiB at once. */
const LEAST_ROOM = 16 * 1024;
/** For heads and short bodies. */
const SCRATCH_BYTES = 16 * 1024;
/** Kept for the next body; more are left to the garbage collector. */
const MAX_FREE_SLABS = 32;

const freeSlabs: Slab[] = [];

const landings = new WeakMap<Socket, Landing>();

/** Makes a socket with a landing. What lands before somebody is told is lost: nothing may come before we ask. */
export function connectWithLanding(connect: (options: { onread: OnReadOpts }) => Socket): Socket {
  const landing = createLanding();
  const socket = connect({ onread: landing.onread });
  landings.set(socket, landing);
  return socket;
}

/** Undefined where the socket was made without one: its bytes come by `data` events. */
export function landingOf(socket: Socket): Landing | undefined {
  return landings.get(socket);
}

function createLanding(): Landing {
  const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  let slab: Slab | undefined;

  function letGo(): void {
    if (slab !== undefined) releaseSlab(slab);
    slab = undefined;
  }

  const landing: Landing = {
    usesSlabs: false,
    onBytes: () => {},
    moveToSlab(bytes) {
      slab ??= takeSlab();
      bytes.copy(slab.memory, slab.used);
      slab.used += bytes.length;
      return slab;
    },
    onread: {
      // Asked for after each read that does not return false. A read of TLS may go on after pause(): so each one gets
      // memory of its own, and returns true.
      buffer() {
        if (!landing.usesSlabs) {
          letGo();
          return scratch;
        }
        if (slab !== undefined && isFull(slab)) letGo();
        slab ??= takeSlab();
        return slab.memory.subarray(slab.used);
      },
      callback(length) {
        if (slab === undefined) {
          landing.onBytes(scratch, 0, length, undefined);
        } else {
          slab.used += length;
          landing.onBytes(slab.memory, slab.used - length, slab.used, slab);
        }
        return true;
      },
    },
  };
  return landing;
}

function takeSlab(): Slab {
  const slab = freeSlabs.pop() ?? { memory: Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0, holders: 0 };
  slab.used = 0;
  slab.holders = 1;
  return slab;
}

/** True where what comes next lands in another one. */
export function isFull({ memory, used }: Slab): boolean {
  return memory.length - used < LEAST_ROOM;
}

/** What has landed in a slab stays as it is until {@link releaseSlab} was called as often. */
export function holdSlab(slab: Slab): void {
  slab.holders += 1;
}

export function releaseSlab(slab: Slab): void {
  slab.holders -= 1;
  if (slab.holders === 0 && freeSlabs.length < MAX_FREE_SLABS) freeSlabs.push(slab);
}
