import type { Readable } from 'node:stream';

/**
 * Destroys a body that is paused by its reader for too long: the peer takes nothing. (How long the *source* may be
 * silent is another matter.) It listens to `pause` and `resume` only, since a `data` listener would start the flow.
 */
export function failIfStuck(body: Readable, stallMs: number, makeError: () => Error): { stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const onResume = () => clearTimeout(timer);
  const onPause = () => {
    clearTimeout(timer);
    timer = setTimeout(() => body.destroy(makeError()), stallMs);
  };
  body.on('pause', onPause);
  body.on('resume', onResume);
  return {
    stop: () => {
      clearTimeout(timer);
      body.off('pause', onPause);
      body.off('resume', onResume);
    },
  };
}
