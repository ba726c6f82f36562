import { hasCode, type TranshipError } from '../model/errors.ts';
import { noImageFor, platformKey } from '../model/platform.ts';
import type { Rule } from '../model/rule.ts';
import { ruleFor } from '../rules/wildcard.ts';
import { discoverPaths, isEmptyRepository } from './discover.ts';
import { type ExpandDeps, type ExpandedTag, expandRule, listRule, type RuleLists } from './expand.ts';
import { deletionTask, findDeletions } from './plan-deletions.ts';
import type { Emit, PipelineEvent } from './ports/events.ts';
import type { Lacking, PlanMessage, Task, TaskQueue } from './ports/queue.ts';
import type { SyncRecord } from './ports/sync-records.ts';

export interface PlanDeps extends ExpandDeps {
  queue: TaskQueue;
  /** Queues all of them or throws, as the queue does. */
  sendPlans: (plans: PlanMessage[]) => Promise<void>;
  emit: Emit;
}

export interface PlanRequest {
  message: PlanMessage;
  rule: Rule;
  /** All rules of the rule set: what another one brings is not deleted. */
  rules?: ReadonlyMap<string, Rule>;
  /** Every tag becomes a task. */
  force: boolean;
  /** Epoch ms: no page is begun after it. */
  deadline?: number;
  /**
   * Epoch ms of the run's start: what the ledger learned since is this run's own work, and counts as a task. Left out
   * for a run that plans a rule more than once, where it is in step like everything else.
   */
  runStartedAt?: number;
}

/** Repositories that are planned each for themselves are queued so many at a time. */
const PAGE_REPOSITORIES = 500;

/**
 * Plans what a message says: a rule, or one repository of a rule for many, as {@link planRepository}; or finds the
 * repositories of a rule for many, and sends a message for each.
 *
 * @returns the cursor to go on behind, where the deadline came first
 * @throws TranshipError as {@link planRepository}; as {@link discoverPaths}
 */
export async function planRule(deps: PlanDeps, request: PlanRequest): Promise<{ next?: string }> {
  const { message, rule } = request;
  const { repository } = message;
  if (rule.discover === undefined) return planRepository(deps, request);
  if (repository === undefined) return planRepositories(deps, request);
  const found = ruleFor(rule, repository);
  try {
    return await planRepository(deps, { ...request, rule: found });
  } catch (error) {
    if (!isEmptyRepository(error, found.from)) throw error;
    await deps.ledger.recordPage({ ...idOf(message), after: '', planned: 0, unchanged: 0 });
    return {};
  }
}

/** Finds the repositories of a rule for many, and sends a plan message for each behind the cursor. */
async function planRepositories(
  deps: PlanDeps,
  { message, rule, deadline = Number.POSITIVE_INFINITY }: PlanRequest,
): Promise<{ next?: string }> {
  const { runId, ruleId } = message;
  const paths = await discoverPaths(deps, rule);
  let after = message.after ?? '';
  for (let rest = paths.filter((path) => path > after); ; ) {
    const page = rest.slice(0, PAGE_REPOSITORIES);
    rest = rest.slice(PAGE_REPOSITORIES);
    const isEnd = rest.length === 0;
    const last = page.at(-1) ?? after;
    const { after: _, ...each } = message;
    const found = { planned: 0, unchanged: 0, repositories: page.length };
    // Recorded before it is sent: else the run could look complete when the first of them are planned.
    await deps.ledger.recordPage({ runId, ruleId, after, ...found, ...(!isEnd && { next: last }) });
    if (page.length > 0) await deps.sendPlans(page.map((repository) => ({ ...each, repository, attempt: 0 })));
    after = last;
    if (isEnd) return {};
    if (deps.now() >= deadline) return { next: after };
  }
}

/**
 * Plans a rule for one repository: sends a task for each source tag with a destination that is not in step, and with the last page one for
 * each tag that is to be deleted, and records each page. Pages are idempotent, so a planner that dies is simply started
 * again.
 *
 * @returns the cursor to go on behind, where the deadline came first
 * @throws TranshipError as {@link expandRule}; `too-many-deletions` when everything else is planned
 */
async function planRepository(deps: PlanDeps, request: PlanRequest): Promise<{ next?: string }> {
  const { message, rule, deadline = Number.POSITIVE_INFINITY } = request;
  const { ruleId } = message;
  let after = message.after ?? '';
  if (message.deletions) {
    await planDeletions(deps, request);
    return {};
  }
  // Before the lists are read: what another run copies from then on, a task must not take for missing.
  const plannedAt = deps.now();
  for await (const page of expandRule(deps, rule, { after: message.after, onlyWhatDecides: true })) {
    const tasks: Task[] = [];
    let planned = 0;
    let unchanged = 0;
    const found: Found[] = [];
    for (const tag of page.tags) {
      planned += tag.destinations.length;
      const task = planTag(deps, request, tag, plannedAt, found);
      unchanged += tag.destinations.length - (task?.destinations.length ?? 0);
      if (task !== undefined) tasks.push(task);
    }
    await writeFound(deps, found);
    const deletions = page.isEnd ? await deletionsOf(deps, request, page.lists, plannedAt) : { tasks: [] };
    for (const task of deletions.tasks) tasks.push(task);
    planned += deletions.tasks.length;
    // Sent before it is recorded: a page that is planned twice doubles tasks, which is harmless, and loses none.
    if (tasks.length > 0) await deps.queue.send(tasks);
    const isCut = !page.isEnd && deps.now() >= deadline;
    const next = page.isEnd ? undefined : page.last;
    await deps.ledger.recordPage({ ...idOf(message), after, planned, unchanged, next });
    deps.emit({ type: 'rule-planned', ruleId, planned, unchanged, tasks: tasks.length });
    if (deletions.failure !== undefined) throw deletions.failure;
    after = page.last;
    if (isCut) return { next: after };
  }
  return {};
}

/** What a page of a plan message is of. */
function idOf({ runId, ruleId, repository }: PlanMessage): Pick<PlanMessage, 'runId' | 'ruleId' | 'repository'> {
  return { runId, ruleId, ...(repository !== undefined && { repository }) };
}

/** Plans the deletions of a rule alone, as one page of it. */
async function planDeletions(deps: PlanDeps, request: PlanRequest): Promise<void> {
  const { rule, message } = request;
  const { ruleId } = message;
  const lists = await listRule(deps, rule);
  const { tasks, failure } = await deletionsOf(deps, request, lists, deps.now());
  if (failure !== undefined) throw failure;
  const planned = tasks.length;
  if (planned > 0) await deps.queue.send(tasks);
  await deps.ledger.recordPage({ ...idOf(message), after: '', planned, unchanged: 0 });
  deps.emit({ type: 'rule-planned', ruleId, planned, unchanged: 0, tasks: planned });
}

/** The tasks that delete, or why there are none. */
async function deletionsOf(
  { ledger }: PlanDeps,
  { message, rule, rules = new Map([[rule.id, rule]]) }: PlanRequest,
  lists: RuleLists,
  now: number,
): Promise<{ tasks: Task[]; failure?: TranshipError }> {
  if (rule.delete === undefined) return { tasks: [] };
  try {
    const surplus = await findDeletions(ledger, rule, { lists, rules: [...rules.values()], now });
    return { tasks: surplus.map((one) => deletionTask(message, one, now)) };
  } catch (error) {
    if (hasCode(error, 'too-many-deletions')) return { tasks: [], failure: error };
    throw error;
  }
}

/** A destination that is in step, and a record that says so, or more than the ledger knew. */
interface Found {
  record: SyncRecord;
  /** What tells of it, once it is recorded. */
  event: PipelineEvent;
}

async function writeFound({ ledger, emit }: PlanDeps, found: Found[]): Promise<void> {
  const write = async ({ record, event }: Found) => {
    await ledger.write(record);
    emit(event);
  };
  await Promise.all(found.map(write));
}

/**
 * The task of one tag, for those of its destinations that are not in step.
 * @param found gets those that are in step and have something to record
 */
function planTag(
  deps: PlanDeps,
  { message, rule, force, runStartedAt }: PlanRequest,
  tag: ExpandedTag,
  plannedAt: number,
  found: Found[],
): Task | undefined {
  const { source, digest } = tag;
  const destinations = [];
  const lackings: Array<Lacking | undefined> = [];
  for (const { target, state, isEmpty, record, lacking, seen } of tag.destinations) {
    // What this run copied itself before its planner was started again has a task, and keeps it: it counts once.
    const isOwnWork = record !== undefined && runStartedAt !== undefined && record.at >= runStartedAt;
    const isInStep = (state === 'in-step' || state === 'found') && digest !== undefined && !force && !isOwnWork;
    if (!isInStep) {
      destinations.push(target);
      lackings.push(lacking);
      continue;
    }
    const note = isEmpty && { note: noImageFor(rule.platforms) };
    const event: PipelineEvent = {
      type: 'tag-unchanged',
      ruleId: rule.id,
      source,
      destination: target,
      digest,
      ...note,
    };
    const referrers = seen && { referrers: seen };
    if (state === 'found') {
      const platforms = platformKey(rule.platforms);
      const digests = { sourceDigest: digest, destinationDigest: digest };
      found.push({
        record: { destination: target, source, ...digests, platforms, at: plannedAt, how: 'found', ...referrers },
        event,
      });
    } else if (seen !== undefined && record !== undefined) found.push({ record: { ...record, ...referrers }, event });
    else deps.emit(event);
  }
  if (destinations.length === 0) return undefined;
  return {
    version: 1,
    runId: message.runId,
    ruleId: message.ruleId,
    source,
    destinations,
    platforms: rule.platforms,
    ...(rule.referrers && { referrers: rule.referrers }),
    ...(rule.require && { require: rule.require }),
    endpoints: rule.endpoints,
    pulls: rule.pulls,
    force,
    plannedAt,
    hint: digest,
    lacking: least(lackings),
    attempt: 0,
  };
}

/** What all of them lack. */
function least(lackings: Array<Lacking | undefined>): Lacking | undefined {
  if (lackings.includes(undefined)) return undefined;
  return lackings.includes('image') ? 'image' : 'everything';
}
