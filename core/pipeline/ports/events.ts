import type { Failure } from '../../model/errors.ts';
import type { Digest, Repository, Target } from '../../model/reference.ts';
import type { Task } from './queue.ts';
import type { Outcome } from './runs.ts';

/** What happens, for whoever shows or measures it. Emitting never fails and never waits. */
export type PipelineEvent =
  /** One page of a rule; the pages of a rule add up. `planned` and `unchanged` count destination tags. */
  | { type: 'rule-planned'; ruleId: string; planned: number; unchanged: number; tasks: number }
  | { type: 'rule-failed'; ruleId: string; failure: Failure; willRetry: boolean }
  /** `note`: it has no image for the rule's platforms. */
  | { type: 'tag-unchanged'; ruleId: string; source: Target; destination: Target; digest: Digest; note?: string }
  | { type: 'task-started'; task: Task }
  | { type: 'task-finished'; task: Task; outcomes: Outcome[] }
  /** It comes again in the next round, when everything else had its try. */
  | { type: 'task-retrying'; task: Task; failure: Failure }
  | { type: 'blob-started'; id: number; digest: Digest; size: number; source: Repository; destinations: Repository[] }
  /** `bytes`: of this blob so far. */
  | { type: 'blob-progress'; id: number; bytes: number }
  | { type: 'blob-finished'; id: number; ok: boolean }
  | { type: 'parked'; registry: string; until: number; reason: string }
  | { type: 'warning'; message: string };

export type Emit = (event: PipelineEvent) => void;
