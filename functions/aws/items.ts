import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import * as v from 'valibot';
import { type ErrorCode, type Failure, TranshipError } from '../../core/model/errors.ts';

/** An item as it is written: plain data with its key. A field that is undefined is left out. */
export type Item = { pk: string; sk: string; [field: string]: unknown };

/** An item as it was read, before it is decoded. */
export type ReadItem = Record<string, unknown>;

/** An item on the wire. */
export type StoredItem = Record<string, AttributeValue>;

export function toStored(fields: object): StoredItem {
  return marshall(fields, { removeUndefinedValues: true });
}

export function fromStored(stored: StoredItem): ReadItem {
  return unmarshall(stored);
}

/**
 * Reads the fields that a schema names, and leaves out the others.
 * @throws TranshipError `protocol`, permanent, naming the item by its key and the field; never a value
 */
export function decode<Schema extends v.GenericSchema>(schema: Schema, item: ReadItem): v.InferOutput<Schema> {
  const result = v.safeParse(schema, item, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? 'it';
  throw new TranshipError(`read ledger: item ${item.pk} ${item.sk}: ${field} must be ${issue.expected}`, {
    class: 'permanent',
    code: 'protocol',
    operation: 'read ledger',
  });
}

/** A number of days in epoch seconds after a time, as TTL wants it. */
export function expiryAfter(at: number, days: number): number {
  return Math.ceil((at + days * 24 * 3600 * 1000) / 1000);
}

const text = v.string();

/** A later version may know more codes: they are for people and filters, and decide nothing here. */
const errorCode = v.custom<ErrorCode>((value) => typeof value === 'string');

export const failureSchema: v.GenericSchema<unknown, Failure> = v.object({
  class: v.picklist(['permanent', 'transient', 'throttled', 'configuration']),
  code: errorCode,
  message: text,
  registry: v.optional(text),
  repository: v.optional(text),
  operation: v.optional(text),
  status: v.optional(v.number()),
  retryAt: v.optional(v.number()),
  mend: v.optional(text),
});
