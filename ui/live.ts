import { useEffect, useRef, useState } from 'preact/hooks';
import type { OverviewView } from '../core/status/view.ts';
import { ApiError, ask } from './api.ts';

export interface LiveState {
  overview: OverviewView | undefined;
  /** Counts up with each change. */
  change: number;
  /** `lost` from the first error until the stream is open again, also where nothing has come yet. */
  stream: 'opening' | 'open' | 'lost';
}

/**
 * The overview as it changes. The stream is closed while nobody looks: a browser has six connections to a host, and a
 * forgotten tab would hold one.
 */
export function useLive(loggedOut: () => void): LiveState {
  const [state, setState] = useState<LiveState>({ overview: undefined, change: 0, stream: 'opening' });
  useEffect(() => {
    let source: EventSource | undefined;
    const setStream = (stream: LiveState['stream']) => setState((before) => ({ ...before, stream }));
    const open = () => {
      if (source !== undefined || document.hidden) return;
      source = new EventSource('api/live');
      source.onmessage = ({ data }) => {
        const overview: OverviewView = JSON.parse(data);
        setState((before) => ({ overview, change: before.change + 1, stream: 'open' }));
      };
      source.onopen = () => setStream('open');
      source.onerror = () => {
        setStream('lost');
        // The stream does not say why: an answer to a question does.
        ask('overview').catch((error: unknown) => {
          if (error instanceof ApiError && error.status === 401) loggedOut();
        });
        if (source?.readyState !== EventSource.CLOSED) return;
        source = undefined;
        setTimeout(open, 3_000);
      };
    };
    const look = () => {
      if (!document.hidden) return open();
      source?.close();
      source = undefined;
    };
    open();
    document.addEventListener('visibilitychange', look);
    return () => {
      document.removeEventListener('visibilitychange', look);
      source?.close();
    };
  }, []);
  return state;
}

export interface Asked<View> {
  view: View | undefined;
  error: ApiError | undefined;
  isLoading: boolean;
}

/**
 * The answer to a question, asked again when `change` does. What is shown stays until the new answer is there, unless it
 * answers another question.
 */
export function useAsked<View>(name: string, query: Record<string, string | undefined>, change: number): Asked<View> {
  const key = JSON.stringify([name, query]);
  const [state, setState] = useState<Asked<View> & { key: string }>({
    key: '',
    view: undefined,
    error: undefined,
    isLoading: true,
  });
  const underWay = useRef<AbortController>(undefined);
  useEffect(() => {
    underWay.current?.abort();
    const abort = new AbortController();
    underWay.current = abort;
    ask<View>(name, query, abort.signal).then(
      (view) => {
        if (!abort.signal.aborted) setState({ key, view, error: undefined, isLoading: false });
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        const told = error instanceof ApiError ? error : new ApiError(0, String(error));
        setState((before) => {
          const view = before.key === key ? before.view : undefined;
          return { key, view, error: told, isLoading: false };
        });
      },
    );
    return () => abort.abort();
  }, [key, change]);
  return state.key === key ? state : { view: undefined, error: undefined, isLoading: true };
}
