import * as v from 'valibot';
import { mapOf } from '../../core/config/shape.ts';
import { configurationError } from '../../core/model/errors.ts';
import type { RuleSet } from '../../core/model/rule.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { EndCheck, PlanMessage } from '../../core/pipeline/ports/queue.ts';
import { firstLookMs } from '../../core/pipeline/run-end.ts';
import type { TryPolicy } from '../../core/pipeline/try-policy.ts';
import type { SqsQueue } from '../aws/queue.ts';
import { readEvent } from '../read-event.ts';

const word = v.pipe(v.string(), v.regex(/^[\w:.-]{1,60}$/, 'is not a word of at most 60 letters, digits and _ : . -'));

/** What a schedule sends, or a person who invokes the planner: all of it may be left out. */
const startSchema = mapOf({
  /** Names the run in the ledger, with the time or the request after it. */
  trigger: v.optional(word, 'by-hand'),
  /** A schedule's time: one time, one run, however often it is delivered. */
  scheduledTime: v.optional(word),
  /** Ids of rules; all where it is missing. */
  rules: v.optional(v.array(v.string())),
  /** Copy every tag, whatever the ledger says. */
  force: v.optional(v.boolean(), false),
});

export type StartRequest = v.InferOutput<typeof startSchema>;

const mend = 'give nothing, or {"rules": ["id", ...], "force": true}';

/**
 * Reads the event that starts a run.
 * @throws TranshipError `config-invalid`, for a person who mistyped it: an invocation by hand answers with it
 */
export function parseStart(event: unknown): StartRequest {
  return readEvent(startSchema, event, { what: 'the event does not start a run', mend });
}

/**
 * Starts a run: one plan message a rule. Done again for the same run, after a crash half-way, it completes it: the
 * pages of a rule that is planned twice count once.
 *
 * @param requestId names the run where no schedule's time does; the same when Lambda tries an invocation again
 * @throws TranshipError `config-invalid` for a rule that is not there
 */
export async function startRun(
  deps: {
    ledger: Ledger;
    queue: SqsQueue<PlanMessage | EndCheck>;
    rules: RuleSet['rules'];
    policy: TryPolicy;
    now: () => number;
  },
  request: StartRequest,
  requestId: string,
): Promise<{ runId: string; rules: number }> {
  const { ledger, queue, now } = deps;
  const { trigger, force } = request;
  const known = new Set(deps.rules.map((rule) => rule.id));
  const unknown = (request.rules ?? []).filter((id) => !known.has(id));
  if (unknown.length > 0) throw configurationError(`the rules file has no rule ${unknown.join(', ')}`, { mend });
  const ruleIds = [...new Set(request.rules ?? known)];
  const runId = `${trigger}-${request.scheduledTime ?? requestId}`;
  // First, so that a run that is there has a look for its end, whatever dies half-way.
  await queue.send([{ version: 1, kind: 'end-check', runId, attempt: 0 }], { delayMs: firstLookMs(deps.policy) });
  await ledger.startRun({ id: runId, trigger, startedAt: now(), rules: ruleIds.length });
  const run = await ledger.readRun(runId);
  // A late delivery of the same schedule: what it asks for has been done.
  if (run !== undefined && run.state !== 'running') return { runId, rules: ruleIds.length };
  const runStartedAt = run?.startedAt ?? now();
  await queue.send(
    ruleIds.map((ruleId): PlanMessage => ({ version: 1, runId, ruleId, attempt: 0, force, runStartedAt })),
  );
  return { runId, rules: ruleIds.length };
}
