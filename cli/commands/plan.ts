import pLimit from 'p-limit';
import { holdsBlob, otherPlace, primeBlobs } from '../../core/copy/blob-index.ts';
import type { CopyContext } from '../../core/copy/context.ts';
import { chooseContent } from '../../core/copy/platforms.ts';
import { toFailure } from '../../core/model/errors.ts';
import { type ManifestContent, parseManifest } from '../../core/model/manifest.ts';
import { dockerHub, type Repository } from '../../core/model/reference.ts';
import type { Rule } from '../../core/model/rule.ts';
import { type DestinationState, type ExpandedTag, expandRule } from '../../core/pipeline/expand.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { headBlob } from '../../core/registry/blobs.ts';
import { closeRegistryClient } from '../../core/registry/client.ts';
import { getManifest } from '../../core/registry/manifests.ts';
import { openCopying } from '../../machine/machine.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfSignal, exitCodes } from '../exit-codes.ts';
import { copySettings, openKnowledge } from '../hosts.ts';
import { readInputs } from '../inputs/inputs.ts';
import { type PlanRow, type PlanSummary, renderPlan } from '../report/plan.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { wantsColor } from '../view/color.ts';
import { formatJsonLine, planJson } from '../view/json.ts';
import { createView } from '../view/view.ts';

/**
 * `tranship plan`: what `sync` would do now, with the bytes it would move. Writes nothing anywhere; reads the manifests
 * of the tags it would copy, which registries with a quota count.
 */
export async function plan(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const { env, stdout, stderr } = shell;
  const color = wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true });
  const view = createView({ mode: 'quiet', stdout, stderr, color, verbose: false });
  const stop = new AbortController();
  const stopped = shell.onSignal(() => stop.abort());
  const known = await openKnowledge(flags, view.emit);
  let context: CopyContext | undefined;
  try {
    const inputs = await readInputs(flags, env, known.credentials);
    const { credentials } = inputs;
    context = openCopying(copySettings(flags, { credentials, emit: view.emit, signal: stop.signal }), known.ledger);
    for (const message of [...warnings, ...inputs.warnings]) view.emit({ type: 'warning', message });
    const summary = await planRules(context, known.ledger, inputs.rules, flags.force);
    view.close();
    if (flags.json) for (const line of planJson(summary)) stdout.write(formatJsonLine(line));
    else {
      const columns = columnsOf(stdout);
      stdout.write(renderPlan({ plan: summary, verbose: flags.verbose, color, columns, now: Date.now() }));
    }
    return summary.ruleFailures.length > 0 || summary.rows.some((row) => row.state === 'unknown')
      ? exitCodes.incomplete
      : exitCodes.inStep;
  } catch (error) {
    const signal = stopped();
    if (signal === undefined) throw error;
    view.close();
    stderr.write('Stopped before the end.\n');
    return exitCodeOfSignal(signal);
  } finally {
    view.close();
    stopped();
    if (context !== undefined) await closeRegistryClient(context.client);
    known.close();
  }
}

async function planRules(context: CopyContext, ledger: Ledger, rules: Rule[], force: boolean): Promise<PlanSummary> {
  const { client, signal } = context;
  const rows: PlanRow[] = [];
  const ruleFailures: PlanSummary['ruleFailures'] = [];
  const pulls = new Map<string, number>();
  // What the plan would bring to a repository already is not counted twice.
  const brought = new Set<string>();
  const limit = pLimit(8);
  for (const rule of rules) {
    try {
      for await (const page of expandRule({ client, ledger, signal }, rule)) {
        const costs = page.tags.map((tag) => limit(() => costOf(context, rule, tag, force)));
        for (const [position, tag] of page.tags.entries()) {
          const cost = await costs[position];
          addRows(rows, rule, tag, cost, { force, brought, pulls });
        }
      }
    } catch (error) {
      if (signal.aborted) throw error;
      ruleFailures.push({ ruleId: rule.id, failure: toFailure(error) });
    }
  }
  return {
    rows,
    inStepByRule: [],
    ruleFailures,
    pulls: [...pulls].map(([registry, count]) => ({ registry, pulls: count })),
  };
}

/** The manifests a copy reads, and the blobs that each destination lacks. */
interface Cost {
  manifests: number;
  blobs: Array<{ digest: string; size: number; lackingAt: Set<DestinationState> }>;
}

async function costOf(context: CopyContext, rule: Rule, tag: ExpandedTag, force: boolean): Promise<Cost | undefined> {
  const wanting = tag.destinations.filter((destination) => isWanting(destination, force));
  if (wanting.length === 0 || tag.digest === undefined) return undefined;
  try {
    const root = await getManifest(context.client, tag.source, { signal: context.signal });
    const choice = await chooseContent(context, tag.source, root, rule.platforms);
    if (choice.kind === 'empty') return { manifests: 1, blobs: [] };
    const cost: Cost = { manifests: 1, blobs: [] };
    await addContent(context, tag.source, choice.content, wanting, cost);
    return cost;
  } catch (error) {
    if (context.signal.aborted) throw error;
    return undefined;
  }
}

async function addContent(
  context: CopyContext,
  source: Repository,
  content: ManifestContent,
  wanting: DestinationState[],
  cost: Cost,
): Promise<void> {
  const digests = content.blobs.map((blob) => blob.digest);
  for (const { target } of wanting) await primeBlobs(context.index, target.registry, digests);
  await Promise.all(
    content.blobs.map(async ({ digest, size = 0 }) => {
      const lackingAt = new Set<DestinationState>();
      await Promise.all(
        wanting.map(async (destination) => {
          if (!(await isThere(context, source, destination.target, digest))) lackingAt.add(destination);
        }),
      );
      cost.blobs.push({ digest, size, lackingAt });
    }),
  );
  if (content.kind !== 'index') return;
  for (const child of content.children) {
    const { registry, repository } = source;
    const manifest = await getManifest(context.client, { registry, repository, digest: child.digest }, context);
    cost.manifests += 1;
    await addContent(context, source, parseManifest(manifest.bytes, manifest.mediaType), wanting, cost);
  }
}

/** There, or to be had by a mount. */
async function isThere(context: CopyContext, source: Repository, target: Repository, digest: string): Promise<boolean> {
  const { client, index, signal } = context;
  if (source.registry === target.registry || holdsBlob(index, target, digest)) return true;
  if (otherPlace(index, target, digest) !== undefined) return true;
  return (await headBlob(client, target, digest, { signal })) !== undefined;
}

function isWanting(destination: DestinationState, force: boolean): boolean {
  return force || (destination.state !== 'in-step' && destination.state !== 'found');
}

function addRows(
  rows: PlanRow[],
  rule: Rule,
  tag: ExpandedTag,
  cost: Cost | undefined,
  totals: { force: boolean; brought: Set<string>; pulls: Map<string, number> },
): void {
  const { registry } = tag.source;
  // Docker Hub is the registry that counts pulls for everybody; others' limits are by rate.
  if (cost !== undefined && registry === dockerHub) {
    totals.pulls.set(registry, (totals.pulls.get(registry) ?? 0) + cost.manifests);
  }
  for (const destination of tag.destinations) {
    const common = { ruleId: rule.id, source: tag.source, destination: destination.target };
    const failure = tag.error ?? destination.error;
    const known = {
      digest: tag.digest,
      ...(failure && { failure: toFailure(failure) }),
    };
    if (!isWanting(destination, totals.force)) {
      rows.push({ ...common, ...known, state: 'in-step' });
      continue;
    }
    const state = destination.state === 'in-step' || destination.state === 'found' ? 'changed' : destination.state;
    const moved = cost?.blobs.filter(({ digest, lackingAt }) => {
      const key = `${destination.target.registry} ${digest}`;
      if (!lackingAt.has(destination) || totals.brought.has(key)) return false;
      totals.brought.add(key);
      return true;
    });
    rows.push({
      ...common,
      ...known,
      state,
      ...(moved && { bytes: moved.reduce((sum, blob) => sum + blob.size, 0), blobs: moved.length }),
    });
  }
}
