import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { NotifyTarget } from '../../core/model/notify-target.ts';
import { nameOfTarget } from '../../core/model/notify-target.ts';
import {
  decideNotice,
  type EndedRun,
  type Notice,
  type NoticeLedger,
  noticeOf,
  problemNames,
  redeemedNames,
} from '../../core/notice/notice.ts';
import { noticeRequest, type Refusal, refusalOf } from '../../core/notice/notice-request.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { askWeb, type Web } from '../../core/web/ask-web.ts';
import { sendMail } from './mail.ts';

/** Pauses between tries. A chat that is away for longer misses one message; the next run tells what lasts. */
const PAUSES_MS = [1000, 5000];
const TIMEOUT_MS = 10_000;
const MOST_REDEEMED = 20_000;
/** Of an answer: a code and a sentence. */
const MAX_ANSWER_BYTES = 16 * 1024;

export interface NotifierOptions {
  /** As the user's files say now. */
  targets: () => readonly NotifyTarget[];
  ledger: NoticeLedger;
  web: Web;
  warn: (message: string) => void;
}

/** Tells the targets of runs that have ended. Nothing that goes wrong with it fails a run; it is a warning. */
export interface Notifier {
  runEnded(run: RunRecord): void;
  /** Waits for what is being told, for at most so many ms. */
  settled(withinMs: number): Promise<void>;
}

export function createNotifier(options: NotifierOptions): Notifier {
  const { targets, ledger, web, warn } = options;
  /** What was told of the last run of each trigger: the run of pushes ends many times within its hour. */
  const told = new Map<string, EndedRun>();
  /** What a target knows that missed a notice, by target and trigger. `undefined`: nothing yet. */
  const missed = new Map<string, EndedRun | undefined>();
  /** What second chances were told to have made well: the next run of its rule finds it well, too. */
  const redeemed = new LRUCache<string, true>({ max: MOST_REDEEMED });
  let telling: Promise<unknown> = Promise.resolve();

  async function tell(run: RunRecord): Promise<void> {
    const all = targets();
    if (all.length === 0 || run.state !== 'done') return;
    const earlier = told.get(run.trigger);
    const { ended, before } = await noticeOf(ledger, run, earlier?.run.id === run.id ? earlier : undefined);
    told.set(run.trigger, ended);
    await Promise.all(
      all.map(async (target) => {
        const key = `${keyOf(target)} ${run.trigger}`;
        const known = missed.has(key) ? missed.get(key) : before;
        missed.delete(key);
        const notice = decideNotice(ended, known, redeemed);
        if (notice === undefined) return;
        try {
          await deliver(target, notice, web);
        } catch (error) {
          missed.set(key, known);
          const why = error instanceof Error ? error.message : String(error);
          warn(`${nameOfTarget(target)} could not be told of run ${run.id}: ${why}`);
        }
      }),
    );
    if (before !== undefined) for (const name of problemNames(before)) redeemed.delete(name);
    for (const name of redeemedNames(ended)) redeemed.set(name, true);
  }

  return {
    runEnded(run) {
      // One after the other, so that each compares itself with the one before.
      telling = telling
        .then(() => tell(run))
        .catch((error: unknown) => warn(`a notice was not sent: ${String(error)}`));
    },
    async settled(withinMs) {
      await Promise.race([telling, sleep(withinMs, undefined, { ref: false })]);
    },
  };
}

/** Tells targets apart. It may hold secrets: it goes nowhere. */
function keyOf(target: NotifyTarget): string {
  return target.kind === 'mail' ? `mail ${target.server} ${target.to.join()}` : `${target.kind} ${target.url}`;
}

async function deliver(target: NotifyTarget, notice: Notice, web: Web): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const refusal = await attempt(target, notice, web);
    if (refusal === undefined) return;
    const pauseMs = refusal.isFinal ? undefined : PAUSES_MS[tries];
    if (pauseMs === undefined) throw new Error(refusal.why);
    await sleep(pauseMs);
  }
}

/** @returns undefined where it was taken */
async function attempt(target: NotifyTarget, notice: Notice, web: Web): Promise<Refusal | undefined> {
  try {
    if (target.kind === 'mail') {
      await sendMail(target, notice, await web.trust.authorities());
      return undefined;
    }
    const request = noticeRequest(target, notice, Date.now());
    const { status, body } = await askWeb(web, {
      method: 'POST',
      ...request,
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    });
    return refusalOf(target.kind, status, body);
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error), isFinal: false };
  }
}
