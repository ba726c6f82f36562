import type { ServerResponse } from 'node:http';
import type { OverviewView } from '../../core/status/view.ts';

const MOST_WATCHERS = 100;
/** A connection in which nothing is sent for 15 s is closed. */
const BEAT_MS = 8_000;

export interface Live {
  /** Sends what changes from now on, as server-sent events, until the client goes away. */
  watch(response: ServerResponse): void;
  /** Something was started: looks sooner than usual. */
  lookNow(): void;
  close(): void;
}

/**
 * Looks at the overview again and again while somebody watches, and sends it when it has changed.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function createLive(look: () => Promise<OverviewView>, everyMs: number): Live {
  const watchers = new Set<ServerResponse>();
  let timer: NodeJS.Timeout | undefined;
  let lastSent = '';
  let lastBeat = 0;
  let lastLook = 0;
  let isLooking = false;

  function sendAll(text: string): void {
    lastBeat = Date.now();
    for (const watcher of watchers) watcher.write(text);
  }

  async function lookOnce(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    lastLook = Date.now();
    try {
      const overview = await look();
      const { at: _at, ...rest } = overview;
      const state = JSON.stringify(rest);
      if (state !== lastSent) {
        lastSent = state;
        sendAll(`data: ${JSON.stringify(overview)}\n\n`);
      }
    } catch {
      // The page says itself what it cannot read.
    } finally {
      isLooking = false;
    }
  }

  function beat(): void {
    if (Date.now() - lastLook >= everyMs) void lookOnce();
    if (Date.now() - lastBeat >= BEAT_MS) sendAll(': still here\n\n');
  }

  function stopIfAlone(): void {
    if (watchers.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  return {
    watch(response) {
      if (watchers.size >= MOST_WATCHERS) {
        response.writeHead(503, { 'retry-after': '30' }).end();
        return;
      }
      // nginx keeps a response back until it has a buffer full, unless it is told not to:
      // https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
      response.write(': here\n\n');
      watchers.add(response);
      response.once('close', () => {
        watchers.delete(response);
        stopIfAlone();
      });
      lastSent = '';
      timer ??= setInterval(beat, Math.min(everyMs, BEAT_MS));
      void lookOnce();
    },
    lookNow: () => void (watchers.size > 0 && lookOnce()),
    close() {
      for (const watcher of watchers) watcher.end();
      watchers.clear();
      stopIfAlone();
    },
  };
}
