import type { Rule } from '../../core/model/rule.ts';
import { lookInside } from '../../core/status/look-inside.ts';
import type { Machine } from '../machine.ts';
import type { ByHand } from '../serve/by-hand.ts';
import type { StatusHost } from './status-host.ts';
import type { Transfers } from './transfers.ts';

/** More than anybody reads; the page says how many there are. */
const SHOWN_EVENTS = 500;
const RUNS = 100;
const LOOK_EVERY_MS = 2_000;
const READ_IMAGE_WITHIN_MS = 20_000;

export interface MachineParts {
  version: string;
  machine: Machine;
  /** The rules of now; undefined where no rules file was found. */
  rules?: () => readonly Rule[];
  whyNoRules?: string;
  nextStarts?: () => Array<[trigger: string, at: number]>;
  transfers: Transfers;
  byHand: ByHand;
}

/** What the status page of one machine shows and starts. */
export function machineHost(parts: MachineParts): StatusHost {
  const { machine, rules, byHand } = parts;
  return {
    kind: 'machine',
    name: machine.directory,
    version: parts.version,
    ledger: machine.ledger,
    runs: RUNS,
    everyMs: LOOK_EVERY_MS,
    rules,
    repositories: async () => machine.repositories(),
    nextStarts: parts.nextStarts,
    pushEvents: () => machine.pushEvents.list(SHOWN_EVENTS, Date.now()),
    transfers: parts.transfers.list,
    lookInside: (target) => lookInside(machine.copy.client, target, AbortSignal.timeout(READ_IMAGE_WITHIN_MS)),
    redrive: byHand.redrive,
    sync: rules && byHand.sync,
    whyNoSync: parts.whyNoRules,
  };
}
