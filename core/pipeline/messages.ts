import * as v from 'valibot';
import { check, formatPath, wordOf } from '../config/shape.ts';
import { type ErrorCode, errorClasses, TranshipError } from '../model/errors.ts';
import { isDigest, isRegistryName, isRepositoryName, isTag, type Target } from '../model/reference.ts';
import { MOST_REFERRER_TYPES } from '../model/referrer.ts';
import { type EndCheck, lackings, type PlanMessage, type Task } from './ports/queue.ts';

/**
 * Tasks and plan messages as text, for queues that carry text. A queue's policy may let others write to it, so what is
 * read is checked field by field; an error names the field and never the value. Fields that nobody knows are dropped: a
 * later version may add some.
 */

/** A message, and the epoch ms before which it is not to be worked on where its queue cannot wait that long. */
export type Timed<T> = { message: T; notBefore?: number };

const nonEmpty = v.pipe(v.string(), v.minLength(1));
const flag = v.boolean();
const wholeNumber = v.pipe(
  v.number(),
  v.check((value) => Number.isSafeInteger(value) && value >= 0, 'is not a whole number'),
);
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const endpoint = v.object({
  registry: textThat(isRegistryName, 'is not the name of a registry'),
  path: textThat((path) => path === '' || isRepositoryName(path), 'is not a path of repositories'),
});
/** It becomes part of the ledger's keys. */
const runId = textThat((text) => /^[^\s#]{1,200}$/.test(text), "is not a run's id");
const digest = textThat(isDigest, 'is not a digest');

const target = v.pipe(
  v.object({
    registry: textThat(isRegistryName, 'is not the name of a registry'),
    repository: textThat(isRepositoryName, 'is not the name of a repository'),
    tag: v.optional(textThat(isTag, 'is not a tag')),
    digest: v.optional(digest),
  }),
  v.rawTransform(({ dataset: { value }, addIssue, NEVER }): Target => {
    const { registry, repository, tag, digest } = value;
    if (tag !== undefined && digest === undefined) return { registry, repository, tag };
    if (digest !== undefined && tag === undefined) return { registry, repository, digest };
    addIssue({ message: 'has not exactly one of tag and digest' });
    return NEVER;
  }),
);

const names = v.array(nonEmpty);

const failure = v.object({
  class: wordOf(errorClasses),
  // Not the codes of this version alone: a message of a later one is still a message.
  code: v.custom<ErrorCode>((code) => typeof code === 'string' && /^[a-z-]{1,40}$/.test(code), 'is not a code'),
  message: v.string(),
  registry: ifGood(v.string()),
  repository: ifGood(v.string()),
  operation: ifGood(v.string()),
  mend: ifGood(v.string()),
  status: ifGood(v.pipe(v.number(), v.finite())),
  retryAt: ifGood(v.pipe(v.number(), v.finite())),
});

/** What all kinds of messages have. */
const common = { version: v.literal(1), runId, attempt: wholeNumber, notBefore: v.optional(wholeNumber) };

const taskSchema = v.object({
  ...common,
  ruleId: nonEmpty,
  source: target,
  destinations: v.pipe(v.array(target), v.minLength(1)),
  platforms: v.object({ platforms: names, os: names, arch: names }),
  referrers: v.optional(
    v.object({ types: v.pipe(names, v.maxLength(MOST_REFERRER_TYPES)), recheckMs: v.optional(wholeNumber) }),
  ),
  require: v.optional(
    v.object({
      keys: names,
      identities: v.array(v.object({ identity: nonEmpty, issuer: nonEmpty })),
      trustRoot: v.optional(nonEmpty),
    }),
  ),
  part: v.optional(v.literal('referrer')),
  endpoints: v.optional(v.array(endpoint)),
  pulls: v.optional(v.object({ pulls: positive, windowMs: positive })),
  force: flag,
  plannedAt: wholeNumber,
  hint: v.optional(digest),
  lacking: v.optional(wordOf(lackings)),
  pushed: v.optional(flag),
  settleUntil: v.optional(wholeNumber),
  seen: v.optional(v.union([digest, v.literal('nothing')])),
  written: v.optional(flag),
  deletion: v.optional(wordOf(['gone', 'unselected'])),
  cutOffs: v.optional(wholeNumber),
  failure: v.optional(failure),
  redriven: v.optional(wholeNumber),
});

const planSchema = v.object({
  ...common,
  ruleId: nonEmpty,
  after: v.optional(nonEmpty),
  force: v.optional(flag),
  runStartedAt: v.optional(wholeNumber),
  pushed: v.optional(flag),
  repository: v.optional(textThat(isRepositoryName, 'is not the name of a repository')),
  deletions: v.optional(flag),
});

const endCheckSchema = v.object({ ...common, kind: v.literal('end-check') });

/** The text of a message. All kinds have the field `version`, which a later product changes with their meaning. */
export function formatMessage(message: Task | PlanMessage | EndCheck, notBefore?: number): string {
  return JSON.stringify(notBefore === undefined ? message : { ...message, notBefore });
}

/**
 * Reads a task.
 * @throws TranshipError permanent; `unsupported` for another version, `protocol` for anything that is not a task
 */
export function parseTask(text: string): Timed<Task> {
  return readMessage('task message', taskSchema, parseJson(text));
}

/**
 * Reads a plan message.
 * @throws TranshipError permanent; `unsupported` for another version, `protocol` for anything that is not a plan
 *   message
 */
export function parsePlan(text: string): Timed<PlanMessage> {
  return readMessage('plan message', planSchema, parseJson(text));
}

/**
 * Reads a message of the planner's queue, of which there are two kinds.
 * @throws TranshipError as {@link parsePlan}
 */
export function parsePlannerMessage(text: string): Timed<PlanMessage | EndCheck> {
  const data = parseJson(text);
  const isEndCheck = v.is(v.object({ kind: v.literal('end-check') }), data);
  return isEndCheck ? readMessage('end check', endCheckSchema, data) : readMessage('plan message', planSchema, data);
}

function readMessage<Message extends { notBefore?: number }>(
  what: string,
  schema: v.GenericSchema<unknown, Message>,
  data: unknown,
): Timed<Omit<Message, 'notBefore'>> {
  if (!v.is(v.looseObject({}), data)) throw malformed(`${what} is not a JSON object`);
  if (typeof data.version === 'number' && data.version !== 1) {
    throw new TranshipError(`${what} has version ${data.version}; this program reads version 1`, {
      class: 'permanent',
      code: 'unsupported',
      mend: 'deploy one version of all functions; messages of another version can be redriven after that',
    });
  }
  const nameOf = (path: Array<string | number>) => (path.length === 0 ? what : `${what}: ${formatPath(path)}`);
  const { value, faults } = check(schema, data, { nameOf, isSecret: true });
  if (faults !== undefined) throw malformed(faults[0]?.what ?? what);
  const { notBefore, ...message } = value;
  return { message, notBefore };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // JSON.parse quotes the text in its error.
    return undefined;
  }
}

function malformed(message: string): TranshipError {
  return new TranshipError(message, { class: 'permanent', code: 'protocol' });
}

function textThat(holds: (text: string) => boolean, fault: string) {
  return v.pipe(v.string(), v.check(holds, fault));
}

/** What only tells people why is dropped where it is not as it should be. */
function ifGood<const Schema extends v.GenericSchema>(schema: Schema) {
  return v.fallback(v.optional(schema), undefined);
}
