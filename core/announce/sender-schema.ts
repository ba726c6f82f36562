import * as v from 'valibot';
import { mapOf, recordOf, wordOf } from '../config/shape.ts';
import { dialectNames } from './dialect-name.ts';

const text = v.pipe(v.string(), v.minLength(1));
const texts = v.pipe(v.array(text), v.minLength(1));
const login = mapOf({ username: text, password: text });

/** One, or the old and the new one while it is changed. */
function oneOrTwo<const Item extends v.GenericSchema>(item: Item) {
  return v.union([item, v.pipe(v.array(item), v.minLength(1), v.maxLength(2))]);
}

/** What a webhooks file says of one sender. */
export const senderSchema = mapOf({
  dialect: wordOf(dialectNames),
  token: v.optional(oneOrTwo(text)),
  registry: v.optional(text),
  repositories: v.optional(v.pipe(recordOf(text), v.minEntries(1))),
  allow: v.optional(texts),
  ownActors: v.optional(v.array(text)),
  hmac: v.optional(oneOrTwo(text)),
  bearer: v.optional(oneOrTwo(text)),
  header: v.optional(v.pipe(recordOf(oneOrTwo(text)), v.minEntries(1), v.maxEntries(1))),
  basic: v.optional(oneOrTwo(login)),
  google: v.optional(mapOf({ audience: text, email: text })),
  sns: v.optional(
    v.pipe(v.array(v.pipe(v.string(), v.regex(/^arn:aws[a-z-]*:sns:/, 'is not the ARN of a topic'))), v.minLength(1)),
  ),
});

export type SenderEntry = v.InferOutput<typeof senderSchema>;

/** The keys that say how a sender proves who it is. */
export const authKeys = ['hmac', 'bearer', 'header', 'basic', 'google', 'sns'] as const;
