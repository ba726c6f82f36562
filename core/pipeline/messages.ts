import { type ErrorClass, type Failure, TranshipError } from '../model/errors.ts';
import { isDigest, isRegistryName, isRepositoryName, isTag, type Target } from '../model/reference.ts';
import type { PlatformFilter } from '../model/rule.ts';
import type { EndCheck, PlanMessage, Task } from './ports/queue.ts';

/**
 * Tasks and plan messages as text, for queues that carry text. A queue's policy may let others write to it, so what is
 * read is checked field by field; an error names the field and never the value.
 */

/** A message, and the epoch ms before which it is not to be worked on where its queue cannot wait that long. */
export type Timed<T> = { message: T; notBefore?: number };

/** The text of a message. All kinds have the field `version`, which a later product changes with their meaning. */
export function formatMessage(message: Task | PlanMessage | EndCheck, notBefore?: number): string {
  return JSON.stringify(notBefore === undefined ? message : { ...message, notBefore });
}

/**
 * Reads a task.
 * @throws TranshipError permanent; `unsupported` for another version, `protocol` for anything that is not a task
 */
export function parseTask(text: string): Timed<Task> {
  const fields = readFields('task message', text);
  const hint = fields.optional('hint', digest);
  const pushed = fields.optional('pushed', flag);
  const settleUntil = fields.optional('settleUntil', wholeNumber);
  const reason = fields.optional('failure', failure);
  const redriven = fields.optional('redriven', wholeNumber);
  return {
    message: {
      version: 1,
      runId: fields.required('runId', runId),
      ruleId: fields.required('ruleId', nonEmpty),
      source: fields.required('source', target),
      destinations: fields.required('destinations', targets),
      platforms: fields.required('platforms', platformFilter),
      force: fields.required('force', flag),
      plannedAt: fields.required('plannedAt', wholeNumber),
      hint,
      pushed,
      settleUntil,
      attempt: fields.required('attempt', wholeNumber),
      failure: reason,
      redriven,
    },
    ...readTime(fields),
  };
}

/**
 * Reads a plan message.
 * @throws TranshipError permanent; `unsupported` for another version, `protocol` for anything that is not a plan message
 */
export function parsePlan(text: string): Timed<PlanMessage> {
  const fields = readFields('plan message', text);
  const after = fields.optional('after', nonEmpty);
  const force = fields.optional('force', flag);
  const runStartedAt = fields.optional('runStartedAt', wholeNumber);
  const pushed = fields.optional('pushed', flag);
  return {
    message: {
      version: 1,
      runId: fields.required('runId', runId),
      ruleId: fields.required('ruleId', nonEmpty),
      after,
      attempt: fields.required('attempt', wholeNumber),
      force,
      runStartedAt,
      pushed,
    },
    ...readTime(fields),
  };
}

/**
 * Reads a message of the planner's queue, of which there are two kinds.
 * @throws TranshipError as {@link parsePlan}
 */
export function parsePlannerMessage(text: string): Timed<PlanMessage | EndCheck> {
  if (asRecord(parseJson(text))?.kind !== 'end-check') return parsePlan(text);
  const fields = readFields('end check', text);
  return {
    message: {
      version: 1,
      kind: 'end-check',
      runId: fields.required('runId', runId),
      attempt: fields.required('attempt', wholeNumber),
    },
    ...readTime(fields),
  };
}

/** Turns a value into what it should be, or tells what is wrong with it: `is not a tag`. */
type Check<T> = (value: unknown) => { value: T } | { fault: string };

interface Fields {
  required<T>(name: string, check: Check<T>): T;
  optional<T>(name: string, check: Check<T>): T | undefined;
}

function readFields(what: string, text: string): Fields {
  const record = asRecord(parseJson(text));
  if (!record) throw bad(what, 'is not a JSON object');
  if (record.version !== 1) {
    const version = typeof record.version === 'number' ? `has version ${record.version}` : 'has no version';
    throw new TranshipError(`${what} ${version}; this program reads version 1`, {
      class: 'permanent',
      code: 'unsupported',
      mend: 'deploy one version of all functions; messages of another version can be redriven after that',
    });
  }
  const fields: Fields = {
    required(name, check) {
      const checked = check(record[name]);
      if ('fault' in checked) throw bad(what, `: ${name} ${checked.fault}`);
      return checked.value;
    },
    optional(name, check) {
      return record[name] === undefined ? undefined : fields.required(name, check);
    },
  };
  return fields;
}

function readTime(fields: Fields): { notBefore?: number } {
  const notBefore = fields.optional('notBefore', wholeNumber);
  return notBefore === undefined ? {} : { notBefore };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // JSON.parse quotes the text in its error.
    return undefined;
  }
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function bad(what: string, fault: string): TranshipError {
  return new TranshipError(`${what}${fault.startsWith(':') ? fault : ` ${fault}`}`, {
    class: 'permanent',
    code: 'protocol',
  });
}

function checkThat<T>(holds: (value: unknown) => boolean, fault: string): Check<T> {
  return (value) => (holds(value) ? { value: value as T } : { fault });
}

const text = (holds: (value: string) => boolean) => (value: unknown) => typeof value === 'string' && holds(value);

const errorClasses: ErrorClass[] = ['permanent', 'transient', 'throttled', 'configuration'];

const nonEmpty = checkThat<string>(
  text((value) => value !== ''),
  'is not a text',
);
/** It becomes part of the ledger's keys. */
const runId = checkThat<string>(
  text((value) => /^[^\s#]{1,200}$/.test(value)),
  "is not a run's id",
);
const digest = checkThat<string>(text(isDigest), 'is not a digest');
const flag = checkThat<boolean>((value) => typeof value === 'boolean', 'is neither true nor false');
const wholeNumber = checkThat<number>(
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  'is not a whole number',
);

const target: Check<Target> = (value) => {
  const record = asRecord(value);
  if (!record) return { fault: 'is not a reference' };
  const { registry, repository, tag, digest } = record;
  if (!text(isRegistryName)(registry)) return { fault: 'has a bad registry' };
  if (!text(isRepositoryName)(repository)) return { fault: 'has a bad repository' };
  if ((tag === undefined) === (digest === undefined)) return { fault: 'has not exactly one of tag and digest' };
  if (tag !== undefined && !text(isTag)(tag)) return { fault: 'has a bad tag' };
  if (digest !== undefined && !text(isDigest)(digest)) return { fault: 'has a bad digest' };
  const named = tag === undefined ? { digest } : { tag };
  return { value: { registry, repository, ...named } as Target };
};

const targets: Check<Target[]> = (value) => {
  if (!Array.isArray(value) || value.length === 0) return { fault: 'is not a list of references' };
  const read: Target[] = [];
  for (const [index, entry] of value.entries()) {
    const checked = target(entry);
    if ('fault' in checked) return { fault: `entry ${index + 1} ${checked.fault}` };
    read.push(checked.value);
  }
  return { value: read };
};

const platformFilter: Check<PlatformFilter> = (value) => {
  const { platforms, os, arch } = asRecord(value) ?? {};
  const lists = [platforms, os, arch];
  if (!lists.every((list) => Array.isArray(list) && list.every(text((entry) => entry !== '')))) {
    return { fault: 'is not a platform filter' };
  }
  return { value: { platforms, os, arch } as PlatformFilter };
};

/** It only tells people why; it decides nothing but which dead letters a redrive picks. */
const failure: Check<Failure> = (value) => {
  const { class: errorClass, code, message, ...more } = asRecord(value) ?? {};
  const isFailure =
    errorClasses.includes(errorClass as ErrorClass) &&
    text((word) => /^[a-z-]{1,40}$/.test(word))(code) &&
    text(() => true)(message);
  if (!isFailure) return { fault: 'is not a failure' };
  const texts = ['registry', 'repository', 'operation', 'mend'].filter((name) => typeof more[name] === 'string');
  const numbers = ['status', 'retryAt'].filter((name) => Number.isFinite(more[name]));
  const rest = Object.fromEntries([...texts, ...numbers].map((name) => [name, more[name]]));
  return { value: { class: errorClass, code, message, ...rest } as Failure };
};
