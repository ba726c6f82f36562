import { platformKey } from '../../core/model/platform.ts';
import { formatRepository, formatTarget, type Repository, type Target } from '../../core/model/reference.ts';
import type { Rule, TagSelection } from '../../core/model/rule.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { pullsLeft } from '../../core/pipeline/pull-budget.ts';
import { causesOf } from '../../core/status/causes.ts';
import { mends } from '../../core/status/mends.ts';
import { createSurveyor, inStep, type RuleState, type Survey } from '../../core/status/survey.ts';
import { listTags, type TagQuery, tagRow } from '../../core/status/tags.ts';
import type * as View from '../../core/status/view.ts';
import { createRates } from './rates.ts';
import type { StatusHost } from './status-host.ts';

/** Looks at the ledger are shared for this long: several pages, and several people, ask at a time. */
const FRESH_MS = 500;
const MOST_OUTCOMES = 300;
const SHOWN_RUNS = 60;

export type Reader = ReturnType<typeof createReader>;

/** Answers the questions of the page out of the ledger of a host. */
export function createReader(host: StatusHost, now: () => number) {
  const { ledger } = host;
  const surveyor = createSurveyor(ledger);
  const rates = createRates();
  let last: { at: number; survey: Promise<Survey> } | undefined;

  function survey(): Promise<Survey> {
    const at = now();
    if (last !== undefined && at - last.at < FRESH_MS && at >= last.at) return last.survey;
    const rules = host.rules?.();
    const made = surveyor({ runs: host.runs, ruleIds: rules && new Set(rules.map(({ id }) => id)) });
    last = { at, survey: made };
    made.catch(() => {
      last = undefined;
    });
    return made;
  }

  const withRate = (run: RunRecord): View.RunView => ({ ...run, bytesPerSecond: rates.of(run, now()) });

  return {
    async overview(): Promise<View.OverviewView> {
      const { runs, rules, isCut } = await survey();
      const sum = (value: (rule: RuleState) => number) => rules.reduce((total, rule) => total + value(rule), 0);
      return {
        at: now(),
        host: { kind: host.kind, name: host.name, version: host.version },
        tags: {
          planned: sum(({ planned = 0 }) => planned),
          inStep: sum(inStep),
          failing: sum(({ failing }) => failing),
          inHand: sum(({ inHand }) => inHand),
          isCut,
        },
        rules: { all: rules.length, failed: rules.filter(({ failure }) => failure !== undefined).length },
        parks: await ledger.parks(now()),
        runs: runs.slice(0, SHOWN_RUNS).map(withRate),
        nextRuns: host.nextStarts?.().map(([trigger, at]) => ({ trigger, at })) ?? null,
        history: historyOf(runs),
        transfers: host.transfers?.() ?? null,
        actions: {
          redrive: host.redrive !== undefined,
          sync: host.sync !== undefined,
          whyNoSync: host.whyNoSync,
        },
      };
    },

    async rules(): Promise<View.RuleView[]> {
      const known = new Map((host.rules?.() ?? []).map((rule) => [rule.id, rule]));
      return (await survey()).rules.map((state) => {
        const rule = known.get(state.ruleId);
        return { ...state, inStep: inStep(state), rule: rule === undefined ? null : describeRule(rule, state) };
      });
    },

    async repositories(): Promise<View.RepositoriesView> {
      const { failing } = await survey();
      const stored = (await host.repositories?.()) ?? [];
      const ofRules = (host.rules?.() ?? []).flatMap(({ to }) => to);
      const counts = Map.groupBy(failing, ({ destination }) => formatRepository(destination));
      const names = new Set([...[...stored, ...ofRules].map(formatRepository), ...counts.keys()]);
      const isKnown = host.repositories !== undefined || host.rules !== undefined || names.size > 0;
      if (!isKnown) return { repositories: null };
      const list = [...names].sort().map((name) => ({ name, failing: counts.get(name)?.length ?? 0 }));
      return { repositories: list };
    },

    async tags(query: TagQuery): Promise<View.TagsView> {
      const { rows, next } = await listTags(ledger, (await survey()).failing, query);
      return { rows: rows.map(inText), next };
    },

    async tag(destination: Target): Promise<View.TagDetailView> {
      const { failing, runs } = await survey();
      const name = formatTarget(destination);
      const failed = failing.find((outcome) => formatTarget(outcome.destination) === name);
      const record = await ledger.read(destination);
      const history = await ledger.readHistory(
        destination,
        runs.map(({ id }) => id),
      );
      const row = tagRow(record, failed);
      const source = record?.source ?? failed?.source ?? history[0]?.source;
      const { failure } = failed ?? {};
      return {
        destination: name,
        state: row?.state ?? 'unknown',
        source: source === undefined ? null : formatTarget(source),
        sourceDigest: record?.sourceDigest ?? null,
        destinationDigest: record?.destinationDigest ?? null,
        platforms: record?.platforms ?? '',
        at: record?.at ?? null,
        how: record?.how ?? null,
        signatures: record?.referrers ? { found: record.referrers.mark !== '', at: record.referrers.at } : null,
        ruleId: failed?.ruleId ?? history[0]?.ruleId ?? null,
        failure:
          failure === undefined
            ? null
            : { ...failure, what: mends[failure.code]?.what ?? '', mend: failure.mend ?? mends[failure.code]?.mend },
        history: history.map(inText),
        historyRuns: runs.length,
        canLookInside: host.lookInside !== undefined && (record?.how === 'copied' || record?.how === 'found'),
      };
    },

    async run(id: string, results: Outcome['result'][] | undefined): Promise<View.RunDetailView | undefined> {
      const run = await ledger.readRun(id);
      if (run === undefined) return undefined;
      const outcomes: Outcome[] = [];
      for await (const page of ledger.readOutcomes(id, results)) {
        outcomes.push(...page);
        if (outcomes.length > MOST_OUTCOMES) break;
      }
      return {
        run: withRate(run),
        rules: await ledger.readRules(id),
        outcomes: outcomes.slice(0, MOST_OUTCOMES).map(inText),
        isCut: outcomes.length > MOST_OUTCOMES,
      };
    },

    async causes(): Promise<View.CausesView> {
      const found = await survey();
      return { causes: causesOf(found), isCut: found.isCut };
    },

    pushes: (): View.PushesView => ({ events: host.pushEvents?.() ?? null }),

    async registries(): Promise<View.RegistriesView> {
      const rules = host.rules?.();
      const parks = new Map((await ledger.parks(now())).map((park) => [park.registry, park]));
      const sources = new Set(rules?.map(({ from }) => from.registry));
      const destinations = new Set(rules?.flatMap(({ to }) => to.map(({ registry }) => registry)));
      const quotas = new Map((await ledger.listQuotas()).map((quota) => [quota.registry, quota]));
      const names = new Set([...sources, ...destinations, ...parks.keys(), ...quotas.keys()]);
      return {
        registries: [...names].sort().map((name) => ({
          name,
          isSource: sources.has(name),
          isDestination: destinations.has(name),
          park: parks.get(name) ?? null,
          quota: quotas.get(name) ?? null,
        })),
        rulesKnown: rules !== undefined,
        budgets: (await ledger.listPulls()).map(({ ruleId, counts }) => {
          const { pulls, windowMs } = counts.budget;
          return { ruleId, pulls, left: pullsLeft(counts, now()), windowMs };
        }),
      };
    },
  };
}

function inText<T extends { destination: Target; source: Target }>(
  row: T,
): Omit<T, 'destination' | 'source'> & { destination: string; source: string } {
  return { ...row, destination: formatTarget(row.destination), source: formatTarget(row.source) };
}

/** Runs of pushes begin again with each push: they count when their hour is over. */
function historyOf(runs: readonly RunRecord[]): View.OverviewView['history'] {
  return runs
    .filter(({ state }) => state !== 'running')
    .map(({ startedAt, counts: { bytes, copied, failed, deferred, unchanged } }) => ({
      at: startedAt,
      bytes,
      copied,
      failed: failed + deferred,
      inStep: copied + unchanged,
    }))
    .reverse();
}

function describeRule({ from, to, select, platforms }: Rule, { planned }: RuleState): View.RuleView['rule'] {
  return {
    from: formatRepository(from),
    to: to.map((one: Repository) => formatRepository(one)),
    tags: describeSelection(select),
    platforms: platformKey(platforms),
    sourceTags: planned === undefined ? undefined : Math.round(planned / Math.max(1, to.length)),
  };
}

function describeSelection(select: TagSelection): string {
  switch (select.kind) {
    case 'all':
      return 'all tags';
    case 'tags':
      return select.tags.join(', ');
    case 'digest':
      return select.digest;
    case 'filter': {
      const texts = (patterns: typeof select.match) => patterns.map(({ text }) => text).join(', ');
      const parts = [
        select.match.length > 0 ? `match ${texts(select.match)}` : '',
        select.except.length > 0 ? `except ${texts(select.except)}` : '',
        select.semver === undefined ? '' : `semver ${select.semver}`,
        select.newest === undefined ? '' : `newest ${select.newest}`,
      ];
      return parts.filter((part) => part !== '').join('; ');
    }
  }
}
