import type { Socket } from 'node:net';

/**
 * Lets a socket read what has come before it closes for a write that failed. A server that refuses a body answers and
 * hangs up, with bytes of the body unread; the next write then fails while the answer waits to be read, and Node would
 * close the socket at once.
 */
export function readBeforeClosing(socket: Socket): void {
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error) => {
    const { syscall } = (error ?? {}) as NodeJS.ErrnoException;
    if (syscall !== 'write') return destroy(error);
    // What was there when the write failed is read in the next turn of the event loop.
    setImmediate(() => setImmediate(() => destroy(error)));
    return socket;
  };
}
