import type { Socket } from 'node:net';
import type { ByteSource } from '../byte-source.ts';
import { wireError } from './wire-error.ts';

/** A body that is there, in parts. */
export type WholeBody = readonly Buffer[];

/** A body that is sent as it comes. */
export interface StreamedBody {
  source: ByteSource;
  /** Bytes, exactly. */
  length: number;
}

export function isStreamed(body: WholeBody | StreamedBody | undefined): body is StreamedBody {
  return body !== undefined && 'source' in body;
}

/** Bytes. */
export function lengthOfBody(body: WholeBody | StreamedBody): number {
  return isStreamed(body) ? body.length : body.reduce((sum, { length }) => sum + length, 0);
}

/** What is longer costs less in two writes than in a copy. */
const MOST_COPIED_BYTES = 16 * 1024;

/** Writes the head of a request and its body at once. */
export function sendWhole(socket: Socket, head: string, parts: WholeBody): void {
  if (lengthOfBody(parts) <= MOST_COPIED_BYTES) {
    // As latin1, each character is a byte: a text goes out from the stack, where a new buffer would be allocated.
    socket.write(
      parts.reduce((text, part) => text + part.toString('latin1'), head),
      'latin1',
    );
    return;
  }
  socket.cork();
  socket.write(head, 'latin1');
  for (const part of parts) socket.write(part);
  socket.uncork();
}

/** Whom the sending of a body concerns. */
export interface SendingEvents {
  /** True once nothing more is to be sent. */
  isOver(): boolean;
  /** The last byte was handed to the socket. */
  onHanded(): void;
  /** Bytes wait for the peer. Called again when some were taken and some are left. */
  onWaiting(): void;
  /** The peer has taken all that was there to be sent. */
  onTaken(): void;
  onFailure(error: Error): void;
}

/** Writes a body as it comes. The source waits for its parts to be done, so little of it is in memory. */
export function sendBody(socket: Socket, { source, length }: StreamedBody, events: SendingEvents): void {
  let handed = 0;
  let waiting = 0;
  const fail = (what: string) => events.onFailure(wireError('WRONG_LENGTH', `the body is ${what} than announced`));
  source.flow({
    take(bytes, done) {
      if (events.isOver()) {
        done();
        return;
      }
      if (handed + bytes.length > length) {
        done();
        fail('longer');
        return;
      }
      handed += bytes.length;
      if (handed === length) events.onHanded();
      if (waiting === 0) events.onWaiting();
      waiting += bytes.length;
      socket.write(bytes, () => {
        waiting -= bytes.length;
        done();
        if (events.isOver()) return;
        if (waiting > 0) events.onWaiting();
        else events.onTaken();
      });
    },
    end() {
      if (!events.isOver() && handed < length) fail('shorter');
    },
    fail(error) {
      if (!events.isOver()) events.onFailure(error);
    },
  });
}
