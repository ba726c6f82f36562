import type { CopyContext } from '../copy/context.ts';
import { chooseContent } from '../copy/platforms.ts';
import { walkImage } from '../copy/walk.ts';
import { type Failure, type TranshipError, toFailure, toTranshipError } from '../model/errors.ts';
import type { Descriptor, ManifestContent } from '../model/manifest.ts';
import { noImageFor } from '../model/platform.ts';
import { type Digest, dockerHub, formatRepository, type Target } from '../model/reference.ts';
import type { PullBudget, Rule } from '../model/rule.ts';
import { createSlots } from '../model/slots.ts';
import { headBlob } from '../registry/blobs.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { PullQuota } from '../registry/headers/rate-limit.ts';
import { getManifest } from '../registry/manifests.ts';
import type { DestinationState } from './destination-state.ts';
import { discoverRules, isEmptyRepository } from './discover.ts';
import { withEndpoints } from './endpoints.ts';
import { type ExpandedTag, expandRule } from './expand.ts';
import { findDeletions } from './plan-deletions.ts';
import type { Ledger } from './ports/ledger.ts';
import { pullsLeft } from './pull-budget.ts';

/** What a sync would do with one tag at one destination. */
export interface PlanRow {
  ruleId: string;
  source: Target;
  destination: Target;
  /**
   * `incomplete`: only what refers to it is to be copied. `unknown`: the source or the destination could not tell; see
   * `failure`. `surplus`: it would be deleted.
   */
  state: 'new' | 'changed' | 'incomplete' | 'in-step' | 'unknown' | 'surplus';
  /** The source's; of a surplus one, what the ledger knows to be at the destination. */
  digest?: Digest;
  /** What would be moved: the blobs that the destination's registry lacks. Undefined where nothing tells. */
  bytes?: number;
  blobs?: number;
  /** With `in-step`: it has no image for the rule's platforms. */
  note?: string;
  failure?: Failure;
}

export interface PlanSummary {
  rows: PlanRow[];
  /** Destination tags in step that have no row. */
  inStepByRule: Array<{ ruleId: string; tags: number }>;
  /** Of all that are in step, those without an image for their rule's platforms. */
  empty: number;
  ruleFailures: Array<{ ruleId: string; failure: Failure }>;
  /** How many repositories each rule for many takes. */
  discovered: Array<{ ruleId: string; repositories: number }>;
  /** Manifest requests that the registries count as pulls; only those that have a quota, and what they told of it. */
  pulls: Array<{ registry: string; pulls: number; quota?: PullQuota }>;
  /** The same by rule, of those that have a budget, and what is left of it. */
  budgets: Array<{ ruleId: string; pulls: number; left: number; budget: PullBudget }>;
}

export interface CostDeps {
  copy: CopyContext;
  ledger: Ledger;
}

const TAGS_AT_ONCE = 8;

/**
 * What a sync of these rules would do now, and what it would move. Writes nothing anywhere; reads the manifests of the
 * tags that it would copy, as the copy does: each once, and those that are known to be at the destinations not at all.
 *
 * @param options.force copy what is in step, too
 * @param options.withInStep a row for each destination tag that is in step; else they are counted by rule
 * @throws TranshipError `aborted`; what else goes wrong stands in the summary
 */
export async function costRules(
  { copy, ledger }: CostDeps,
  rules: Rule[],
  { force, withInStep }: { force: boolean; withInStep: boolean },
): Promise<PlanSummary> {
  const { client, signal } = copy;
  const confirmedSince = force ? Date.now() : undefined;
  const state: PlanState = { counted: new Set(), children: new Set(), asked: new Map(), confirmedSince };
  const rows: PlanRow[] = [];
  const inStep = new Map<string, number>();
  let empty = 0;
  const ruleFailures: PlanSummary['ruleFailures'] = [];
  const pulls = new Map<string, number>();
  const budgets: PlanSummary['budgets'] = [];
  const discovered: PlanSummary['discovered'] = [];
  const slots = createSlots(TAGS_AT_ONCE);
  const fail = (ruleId: string, error: unknown) => {
    if (signal.aborted) throw error;
    ruleFailures.push({ ruleId, failure: toFailure(error) });
  };
  for (const written of rules) {
    let found: Rule[] = [];
    try {
      found = await discoverRules({ client, signal }, written);
    } catch (error) {
      fail(written.id, error);
    }
    if (written.discover !== undefined) discovered.push({ ruleId: written.id, repositories: found.length });
    let pullsOfRule = 0;
    for (const rule of found) {
      const reading = withEndpoints(copy, rule.from, rule.endpoints);
      try {
        for await (const page of expandRule({ client, ledger, signal, now: Date.now }, rule)) {
          const costs = await Promise.all(
            page.tags.map((tag) => slots(() => costTag(reading, state, rule, tag, force))),
          );
          for (const [position, tag] of page.tags.entries()) {
            const cost = costs[position];
            for (const row of planRows(rule, tag, cost, { force, counted: state.counted })) {
              if (row.note !== undefined) empty += 1;
              if (withInStep || row.state !== 'in-step') rows.push(row);
              else inStep.set(rule.id, (inStep.get(rule.id) ?? 0) + 1);
            }
            const { registry } = tag.source;
            // Docker Hub counts pulls for everybody. Other registries limit their rate.
            if (registry === dockerHub || client.quotas.has(registry)) {
              pulls.set(registry, (pulls.get(registry) ?? 0) + (cost?.manifests ?? 0));
            }
            pullsOfRule += cost?.manifests ?? 0;
          }
          if (!page.isEnd) continue;
          for (const { record } of await findDeletions(ledger, rule, { lists: page.lists, rules, now: Date.now() })) {
            const { source, destination, destinationDigest } = record;
            rows.push({ ruleId: rule.id, source, destination, state: 'surplus', digest: destinationDigest });
          }
        }
      } catch (error) {
        if (written.discover === undefined || !isEmptyRepository(error, rule.from)) fail(rule.id, error);
      }
    }
    if (written.pulls !== undefined) budgets.push(await budgetOf(ledger, written.id, written.pulls, pullsOfRule));
  }
  return {
    rows,
    inStepByRule: [...inStep].map(([ruleId, tags]) => ({ ruleId, tags })),
    empty,
    ruleFailures,
    pulls: [...pulls].map(([registry, count]) => ({ registry, pulls: count, quota: quotaOf(client, registry) })),
    budgets,
    discovered,
  };
}

function quotaOf(client: RegistryClient, registry: string): PullQuota | undefined {
  const known = client.quotas.get(registry);
  if (known === undefined) return undefined;
  const { limit, remaining, windowMs } = known;
  return { limit, remaining: Math.max(0, remaining), windowMs };
}

async function budgetOf(
  ledger: Ledger,
  ruleId: string,
  budget: PullBudget,
  pulls: number,
): Promise<PlanSummary['budgets'][number]> {
  const stored = await ledger.readPulls(ruleId);
  const left = stored === undefined ? budget.pulls : pullsLeft({ ...stored.counts, budget }, Date.now());
  return { ruleId, pulls, left, budget };
}

/** What the tags of a plan share. */
interface PlanState {
  /** Blobs that a row has counted, by registry and digest: other repositories of the registry would mount them. */
  counted: Set<string>;
  /** Child manifests that would be there by now, by repository and digest. */
  children: Set<string>;
  /** Which destination repositories have which blobs. */
  asked: Map<string, Promise<boolean>>;
  /** Epoch ms: what was confirmed before this is asked for, as a copy with force does. */
  confirmedSince: number | undefined;
}

/** What the copy of one tag reads, and what each destination lacks. */
interface TagCost {
  manifests: number;
  blobs: Array<{ digest: Digest; size: number; lackingAt: Set<DestinationState> }>;
  /** No platform passes the filter. */
  isEmpty?: boolean;
  /** Why the copy would fail. */
  error?: TranshipError;
}

/** The rows of one tag. Adds to `counted` what they count. */
function planRows(
  rule: Rule,
  tag: ExpandedTag,
  cost: TagCost | undefined,
  { force, counted }: { force: boolean; counted: Set<string> },
): PlanRow[] {
  return tag.destinations.map((destination): PlanRow => {
    const error = tag.error ?? destination.error;
    const row = { ruleId: rule.id, source: tag.source, destination: destination.target, digest: tag.digest };
    const failure = error && toFailure(error);
    const isEmpty = cost?.isEmpty === true || (destination.isEmpty === true && !force);
    if (isEmpty && failure === undefined) return { ...row, state: 'in-step', note: noImageFor(rule.platforms) };
    if (!isWanting(destination, force)) return { ...row, state: 'in-step' };
    if (cost?.error !== undefined) return { ...row, state: 'unknown', failure: failure ?? toFailure(cost.error) };
    const { state: found } = destination;
    const state = found === 'in-step' || found === 'found' ? 'changed' : found;
    if (cost === undefined) return { ...row, state, failure };
    let bytes = 0;
    let blobs = 0;
    for (const { digest, size, lackingAt } of cost.blobs) {
      const key = `${destination.target.registry} ${digest}`;
      if (!lackingAt.has(destination) || counted.has(key)) continue;
      counted.add(key);
      bytes += size;
      blobs += 1;
    }
    return { ...row, state, bytes, blobs, failure };
  });
}

function isWanting({ state }: DestinationState, force: boolean): boolean {
  return force || (state !== 'in-step' && state !== 'found');
}

/** Undefined where nothing is to be copied, or nothing is known of the source. */
async function costTag(
  copy: CopyContext,
  state: PlanState,
  rule: Rule,
  tag: ExpandedTag,
  force: boolean,
): Promise<TagCost | undefined> {
  const wanting = tag.destinations.filter((destination) => isWanting(destination, force));
  if (wanting.length === 0 || tag.digest === undefined) return undefined;
  const cost: TagCost = { manifests: 1, blobs: [] };
  try {
    const { registry, repository } = tag.source;
    const source = rule.endpoints === undefined ? tag.source : { registry, repository, digest: tag.digest };
    const root = await getManifest(copy.client, source, { signal: copy.signal });
    const choice = await chooseContent(copy, tag.source, root, rule.platforms);
    if (choice.kind === 'empty') cost.isEmpty = true;
    else await costContent(copy, state, tag.source, choice.content, wanting, cost);
  } catch (thrown) {
    const error = toTranshipError(thrown);
    // Whatever comes next would meet the same.
    if (error.code === 'aborted' || error.class === 'throttled') throw error;
    cost.error = error;
  }
  return cost;
}

/** Adds to `cost` what the copy reads and moves of a manifest's content. */
async function costContent(
  copy: CopyContext,
  state: PlanState,
  source: Target,
  content: ManifestContent,
  wanting: DestinationState[],
  cost: TagCost,
): Promise<void> {
  const { client, index, signal } = copy;
  const registries = [...new Set(wanting.map(({ target }) => target.registry))];
  const childKey = (target: Target, digest: Digest) => `${formatRepository(target)} ${digest}`;
  await walkImage({ client, signal, source }, content, {
    async prepare(digests) {
      await Promise.all(registries.map((registry) => index.load(registry, digests)));
    },
    async blob(blob) {
      const lackingAt = new Set<DestinationState>();
      await Promise.all(
        wanting.map(async (destination) => {
          if (!(await isAvailable(copy, state, source, destination.target, blob))) lackingAt.add(destination);
        }),
      );
      cost.blobs.push({ digest: blob.digest, size: blob.size ?? 0, lackingAt });
    },
    async child({ digest }, visit) {
      const isThere = ({ target }: DestinationState) =>
        index.isKnown(target, digest, state.confirmedSince) || state.children.has(childKey(target, digest));
      if (wanting.every(isThere)) return;
      await visit();
      cost.manifests += 1;
      for (const { target } of wanting) state.children.add(childKey(target, digest));
    },
  });
}

/** Whether the blob is at the destination, or can be mounted there. */
function isAvailable(
  { client, index, signal }: CopyContext,
  { asked, confirmedSince }: PlanState,
  source: Target,
  target: Target,
  { digest }: Descriptor,
): Promise<boolean> | boolean {
  if (source.registry === target.registry || index.isKnown(target, digest, confirmedSince)) return true;
  if (index.mountSource(target, digest) !== undefined) return true;
  const key = `${formatRepository(target)} ${digest}`;
  const answer =
    asked.get(key) ?? headBlob(client, target, digest, { access: 'push', signal }).then((size) => size !== undefined);
  asked.set(key, answer);
  return answer;
}
