import { explainIgnored, type Ignored } from '../../core/announce/announcement.ts';
import type { WebhookRequest } from '../../core/announce/dialect.ts';
import { parseEcrEvent } from '../../core/announce/dialects/ecr.ts';
import { filterAnnouncements } from '../../core/announce/filter.ts';
import { ignoredOf } from '../../core/announce/intake.ts';
import { type HookResponse, receive, respond } from '../../core/announce/receive.ts';
import type { Sender } from '../../core/announce/sender.ts';
import { splitHookPath, type VerifyDeps } from '../../core/announce/verify.ts';
import { toFailure } from '../../core/model/errors.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import type { Log } from '../aws/telemetry.ts';
import { type SubmitDeps, submitAnnouncements } from './submit.ts';

export interface AnswerDeps extends SubmitDeps, VerifyDeps {
  senders: () => Promise<Map<string, Sender>>;
}

/**
 * Answers a push event: 2xx only when what is to be done is in the queue, 503 when it could not be put there, and for
 * the rest what the sender takes well (core/announce/receive.ts).
 */
export async function answerRequest(deps: AnswerDeps, request: WebhookRequest, id: string): Promise<HookResponse> {
  const { log, count } = deps;
  try {
    const name = splitHookPath(request.path)?.name;
    const sender = name === undefined ? undefined : (await deps.senders()).get(name);
    if (sender === undefined) return plain(404, 'not found');
    const receipt = await receive(request, sender, deps);
    if (receipt.kind === 'answered') {
      const { response, failure, notice } = receipt;
      if (failure !== undefined) {
        const isRefused = response.status === 401 || response.status === 404;
        if (isRefused) count('Refused');
        log.warn(isRefused ? 'sender refused' : 'push event not taken', { sender: sender.name, failure });
      }
      if (notice !== undefined) log.warn(notice);
      return response;
    }
    const { announcements, settleMs } = receipt;
    const results = await submitAnnouncements(deps, announcements, { sender: sender.name, id, settleMs });
    const { response, ignored } = respond(sender, receipt, results);
    tellIgnored(deps.log, sender.name, ignored);
    return response;
  } catch (error) {
    log.error('push event could not be queued', { failure: toFailure(error) });
    return plain(503, 'not queued', { 'retry-after': '30' });
  }
}

/**
 * Takes an event of ECR that EventBridge brings: it is the account's own and needs no proof. It may speak for the ECR
 * registries that rules copy from.
 *
 * @throws TranshipError where it could not be queued: Lambda tries again
 */
export async function takeEcrEvent(deps: SubmitDeps, event: unknown, id: string): Promise<void> {
  const registries = [...deps.rules.bySource.values(), ...deps.rules.forMany.values()].flatMap((rules) =>
    rules.map(({ from }) => from.registry),
  );
  const sender: Sender = {
    name: 'ecr',
    dialect: 'ecr',
    urlTokens: [],
    auth: { kind: 'url' },
    allow: [...new Set(registries.filter((host) => parseEcrHost(host) !== undefined))],
    ownActors: [],
  };
  const parsed = parseEcrEvent(event, sender);
  if (parsed.kind !== 'events') return;
  const { announcements, ignored } = filterAnnouncements(sender, parsed.announcements);
  const results = await submitAnnouncements(deps, announcements, { sender: sender.name, id, settleMs: 0 });
  tellIgnored(deps.log, sender.name, [...parsed.ignored, ...ignored, ...ignoredOf(results)]);
}

/** A line for each: without one, nobody could tell why nothing was copied. */
function tellIgnored(log: Log, sender: string, ignored: Ignored[]): void {
  for (const one of ignored) {
    const { reason, what, mend } = one;
    const isWrong = reason === 'malformed' || reason === 'unknown-event' || reason === 'not-allowed';
    log[isWrong ? 'warn' : 'info']('push event ignored', { sender, reason, what, why: explainIgnored(one), mend });
  }
}

function plain(status: number, error: string, headers: Record<string, string> = {}): HookResponse {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ error }) };
}
