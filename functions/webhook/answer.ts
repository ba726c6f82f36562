import type { Announcement } from '../../core/announce/announcement.ts';
import type { WebhookRequest } from '../../core/announce/dialect.ts';
import { parseEcrEvent } from '../../core/announce/dialects/ecr.ts';
import { filterAnnouncements } from '../../core/announce/filter.ts';
import { receive } from '../../core/announce/receive.ts';
import type { WebhookSource } from '../../core/announce/source.ts';
import { splitHookPath, type VerifyDeps } from '../../core/announce/verify.ts';
import { toFailure } from '../../core/model/errors.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import { type SubmitDeps, submitAnnouncements } from './submit.ts';

export interface AnswerDeps extends SubmitDeps, VerifyDeps {
  sources: () => Promise<Map<string, WebhookSource>>;
}

export interface Answer {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
}

/** Announcements of one request beyond this are a flood, or a mistake of the sender's. */
const MAX_ANNOUNCEMENTS = 500;

/**
 * Answers a push event: 2xx only when what is to be done is in the queue, 503 when it could not be put there, and for the
 * rest what the sender takes well (core/announce/receive.ts).
 */
export async function answerRequest(deps: AnswerDeps, request: WebhookRequest, id: string): Promise<Answer> {
  const { log, count } = deps;
  try {
    const name = splitHookPath(request.path)?.source;
    const source = name === undefined ? undefined : (await deps.sources()).get(name);
    if (source === undefined) return plain(404, 'not found');
    const receipt = await receive(request, source, deps);
    if (receipt.failure?.code === 'unauthorized' || receipt.status === 404) {
      count('Refused');
      log.warn('sender refused', { source: source.name, failure: receipt.failure });
    } else if (receipt.failure !== undefined) {
      log.warn('push event not taken', { source: source.name, failure: receipt.failure });
    }
    if (receipt.notice !== undefined) log.warn(receipt.notice);
    for (const ignored of receipt.ignored) log.info('ignored', { source: source.name, ...ignored });
    await submit(deps, receipt.announcements, receipt.settleMs, source.name, id);
    return { statusCode: receipt.status, headers: receipt.headers, body: receipt.body };
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
  const registries = deps.rules.map((rule) => rule.from.registry).filter((host) => parseEcrHost(host) !== undefined);
  const source: WebhookSource = {
    name: 'ecr',
    dialect: 'ecr',
    urlTokens: [],
    auth: { kind: 'url' },
    allow: [...new Set(registries)],
    ownActors: [],
  };
  const result = parseEcrEvent(event, source);
  if (result.kind !== 'events') return;
  const { announcements } = filterAnnouncements(source, result.announcements);
  await submit(deps, announcements, 0, source.name, id);
}

async function submit(
  deps: SubmitDeps,
  announcements: Announcement[],
  settleMs: number,
  source: string,
  id: string,
): Promise<void> {
  if (announcements.length === 0) return;
  await submitAnnouncements(deps, announcements.slice(0, MAX_ANNOUNCEMENTS), settleMs, { source, id });
}

function plain(statusCode: number, error: string, headers: Record<string, string> = {}): Answer {
  return { statusCode, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ error }) };
}
