import { configurationError, type TranshipError } from '../../core/model/errors.ts';
import type { RuleSet } from '../../core/model/rule.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { EndCheck, PlanMessage } from '../../core/pipeline/ports/queue.ts';
import type { SqsQueue } from '../aws/queue.ts';
import type { RetryPolicy } from '../aws/retry-policy.ts';
import { firstLookMs } from './end.ts';

/** What a schedule sends, or a person who invokes the planner: all of it may be left out. */
export interface StartRequest {
  /** Names the run in the ledger, with the time or the request after it. */
  trigger: string;
  /** A schedule's time: one time, one run, however often it is delivered. */
  scheduledTime?: string;
  /** Ids of rules; all where it is missing. */
  rules?: string[];
  /** Copy every tag, whatever the ledger says. */
  force: boolean;
}

/**
 * Reads the event that starts a run.
 * @throws TranshipError `config-invalid`, for a person who mistyped it: an invocation by hand answers with it
 */
export function parseStart(event: unknown): StartRequest {
  const fields = (event ?? {}) as Record<string, unknown>;
  const known = ['trigger', 'scheduledTime', 'rules', 'force'];
  const { trigger = 'by-hand', scheduledTime, rules, force = false } = fields;
  const unknown = typeof event === 'object' ? Object.keys(fields).filter((key) => !known.includes(key)) : ['event'];
  const isText = (value: unknown): value is string => typeof value === 'string' && /^[\w:.-]{1,60}$/.test(value);
  const isList = rules === undefined || (Array.isArray(rules) && rules.every((id) => typeof id === 'string'));
  if (
    unknown.length > 0 ||
    !isText(trigger) ||
    !(scheduledTime === undefined || isText(scheduledTime)) ||
    !isList ||
    typeof force !== 'boolean'
  ) {
    throw refused(`the event does not start a run${unknown.length > 0 ? `: nobody knows ${unknown.join(', ')}` : ''}`);
  }
  return { trigger, force, scheduledTime, ...(rules && { rules: rules as string[] }) };
}

/**
 * Starts a run: one plan message a rule. Done again for the same run, after a crash half-way, it completes it: the pages of
 * a rule that is planned twice count once.
 *
 * @param requestId names the run where no schedule's time does; the same when Lambda tries an invocation again
 * @throws TranshipError `config-invalid` for a rule that is not there
 */
export async function startRun(
  deps: {
    ledger: Ledger;
    queue: SqsQueue<PlanMessage | EndCheck>;
    rules: RuleSet['rules'];
    retry: RetryPolicy;
    now: () => number;
  },
  request: StartRequest,
  requestId: string,
): Promise<{ runId: string; rules: number }> {
  const { ledger, queue, now } = deps;
  const { trigger, force } = request;
  const known = new Set(deps.rules.map((rule) => rule.id));
  const unknown = (request.rules ?? []).filter((id) => !known.has(id));
  if (unknown.length > 0) throw refused(`the rules file has no rule ${unknown.join(', ')}`);
  const ruleIds = [...new Set(request.rules ?? known)];
  const runId = `${trigger}-${request.scheduledTime ?? requestId}`;
  await ledger.startRun({ id: runId, trigger, startedAt: now(), rules: ruleIds.length });
  const run = await ledger.readRun(runId);
  const runStartedAt = run?.startedAt ?? now();
  await queue.send(
    ruleIds.map((ruleId): PlanMessage => ({ version: 1, runId, ruleId, attempt: 0, force, runStartedAt })),
  );
  await queue.send([{ version: 1, kind: 'end-check', runId, attempt: 0 }], { delayMs: firstLookMs(deps.retry) });
  return { runId, rules: ruleIds.length };
}

function refused(message: string): TranshipError {
  return configurationError(message, {
    mend: 'give nothing, or {"rules": ["id", ...], "force": true}',
  });
}
