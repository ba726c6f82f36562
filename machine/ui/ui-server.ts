import type { Credentials } from '../../core/model/credentials.ts';
import { TranshipError } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import { type CopySettings, openMachine } from '../machine.ts';
import { createByHand } from '../serve/by-hand.ts';
import { send } from '../serve/http.ts';
import { listen } from '../serve/listener.ts';
import { createSchedules } from '../serve/schedules.ts';
import type { Workers } from '../serve/work.ts';
import { machineHost } from './machine-host.ts';
import type { StatusHost } from './status-host.ts';
import { openStatusPage, type StatusPageOptions } from './status-page.ts';
import { createTransfers } from './transfers.ts';

export interface UiServer {
  url: string;
  close(): Promise<void>;
}

/**
 * Serves the status page on 127.0.0.1.
 * @throws TranshipError as `listen` and `openStatusPage`
 */
export async function serveStatusPage(options: Omit<StatusPageOptions, 'now'> & { port: number }): Promise<UiServer> {
  const page = await openStatusPage({ ...options, now: Date.now });
  const listener = await listen({ host: '127.0.0.1', port: options.port }, async (request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (await page.answer(path, request, response)) return;
    request.resume();
    send(response, 404, 'not found\n');
  });
  return {
    url: listener.url,
    async close() {
      page.close();
      await listener.close();
    },
  };
}

export interface OwnHostOptions {
  version: string;
  directory: string;
  copying: Omit<CopySettings, 'credentials' | 'emit' | 'signal' | 'gate'>;
  credentials: Credentials;
  limits: Workers['limits'];
  /** Undefined where no rules file was found. */
  rules: readonly Rule[] | undefined;
  whyNoRules: string | undefined;
  emit: Emit;
}

/** The host of a page that has workers of its own: what is started from it is done by this process. */
export function openOwnHost(options: OwnHostOptions): { host: StatusHost; close(): Promise<void> } {
  const { version, directory, copying, credentials, limits, rules, emit } = options;
  const stop = new AbortController();
  const transfers = createTransfers(Date.now);
  const machine = openMachine(directory, {
    ...copying,
    credentials,
    emit: transfers.watch(emit),
    signal: stop.signal,
  });
  const warn = (message: string) => emit({ type: 'warning', message });
  const workers: Workers = {
    machine,
    limits,
    rules: new Map(rules?.map((rule) => [rule.id, rule])),
    emitFor: () => emit,
    runEnded: ({ id }) => machine.deadLetters.dropSettled(id),
    stop: stop.signal,
    failed: (error) => warn(error instanceof TranshipError ? error.message : String(error)),
  };
  const schedules = createSchedules(workers, { skipped: (trigger) => warn(`${trigger}: the last run is under way`) });
  const byHand = createByHand(workers, schedules);
  return {
    host: machineHost({
      version,
      machine,
      rules: rules && (() => rules),
      whyNoRules: options.whyNoRules,
      transfers,
      byHand,
    }),
    async close() {
      stop.abort();
      await Promise.all([schedules.stop(), byHand.ended()]);
      await machine.close();
    },
  };
}
