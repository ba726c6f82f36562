import { ignoredReasons } from '../../core/announce/announcement.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { redriveTrigger } from '../../core/pipeline/second-chance.ts';
import type { Scheduled } from './schedules.ts';
import { byHandTrigger, pushTrigger, startTrigger } from './triggers.ts';

/** What the user's files say of what is to be counted. */
export interface Foreseeable {
  rules: readonly Rule[];
  /** By name. */
  senders: ReadonlyMap<string, unknown>;
  scheduled: readonly Scheduled[];
}

export interface RegistryLabels {
  source_registry: string;
  destination_registry: string;
}

/** Far more than people have; beyond, what is counted is there from its first time on. */
const MOST_OUTCOMES = 5_000;
/** What people want to be told of comes first. */
const results: ReadonlyArray<Outcome['result']> = ['failed', 'deferred', 'copied', 'unchanged'];
/** Answers to senders; a URL of nobody's is answered with the third. */
const statuses = ['200', '401', '404', '400', '413', '503'];
const unknownStatus = '404';

/**
 * The label sets of counters that can be foreseen. Prometheus takes no first value of a counter for an increase, so that
 * a failure would go unseen that is the first of its labels.
 * https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics
 */
export function foresee({ rules, senders, scheduled }: Foreseeable) {
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  const always = [startTrigger, byHandTrigger, redriveTrigger, ...(senders.size > 0 ? [pushTrigger] : [])];
  const pairsOfAll = pairsOf(rules);
  const pairs = new Map(always.map((trigger) => [trigger, pairsOfAll]));
  for (const { trigger, ruleIds } of scheduled)
    pairs.set(trigger, pairsOf(ruleIds.flatMap((id) => byId.get(id) ?? [])));
  const moves = [...pairs].flatMap(([trigger, registries]) => registries.map((one) => ({ trigger, ...one })));
  const names = [...senders.keys()];
  return {
    triggers: [...pairs.keys()],
    outcomes: results
      .flatMap((result) => moves.map(({ trigger, ...registries }) => ({ trigger, result, ...registries })))
      .slice(0, MOST_OUTCOMES),
    moves: moves.slice(0, MOST_OUTCOMES),
    deliveries: [
      ...names.flatMap((source) => statuses.map((status) => ({ source, status }))),
      { source: 'unknown', status: unknownStatus },
    ],
    announcements: names.flatMap((source) =>
      ['queued', 'merged', ...ignoredReasons].map((result) => ({ source, result })),
    ),
  };
}

/** The registries that rules copy between, each pair once. */
function pairsOf(rules: readonly Rule[]): RegistryLabels[] {
  const pairs = new Map<string, RegistryLabels>();
  for (const { from, to } of rules) {
    for (const { registry } of to) {
      pairs.set(`${from.registry} ${registry}`, { source_registry: from.registry, destination_registry: registry });
    }
  }
  return [...pairs.values()];
}
