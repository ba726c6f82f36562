import { randomBytes } from 'node:crypto';
import type { ApiRequest } from './api-requests.ts';

/**
 * The X-Ray trace header, as far as Lambda's recursive-loop detection goes: the functions that an event has been
 * through, each with how often. The SDK sends it with every call of an invocation, SQS keeps it with the message
 * (`AWSTraceHeader`), and Lambda counts on from it.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
 */
export interface Trace {
  root: string;
  /** Invocations so far, by the function's logical id. */
  lineage: ReadonlyMap<string, number>;
}

/** Lambda lets no event come to the same function more often, unless its `RecursiveLoop` is `Allow`. */
export const MOST_INVOCATIONS = 16;

export const TRACE_ATTRIBUTE = 'AWSTraceHeader';

export function newTrace(): Trace {
  return { root: `1-00000000-${randomBytes(12).toString('hex')}`, lineage: new Map() };
}

export function nextTrace({ root, lineage }: Trace, functionId: string): Trace {
  return { root, lineage: new Map(lineage).set(functionId, (lineage.get(functionId) ?? 0) + 1) };
}

export function formatTrace({ root, lineage }: Trace): string {
  const entries = [...lineage].map(([id, count]) => `${id}:${count}`);
  return `Root=${root};Parent=0000000000000000;Sampled=0;Lineage=${entries.join('|')}`;
}

/** Undefined where there is no header. */
export function parseTrace(header: string | undefined): Trace | undefined {
  const root = /Root=([^;]+)/.exec(header ?? '')?.[1];
  if (root === undefined) return undefined;
  const entries = [...(/Lineage=([^;]+)/.exec(header ?? '')?.[1] ?? '').matchAll(/([^:|]+):(\d+)/g)];
  return { root, lineage: new Map(entries.map(([, id = '', count]) => [id, Number(count)])) };
}

/** What SQS does with the header of a send: every message gets it. The emulator keeps it as a message attribute. */
export function keepTrace({ service, operation, trace }: ApiRequest, input: ApiRequest['input']): ApiRequest['input'] {
  if (service !== 'sqs' || trace === undefined) return input;
  const attributes = { [TRACE_ATTRIBUTE]: { DataType: 'String', StringValue: trace } };
  const withTrace = (entry: Record<string, unknown>) => ({
    ...entry,
    MessageAttributes: { ...(entry.MessageAttributes as object | undefined), ...attributes },
  });
  if (operation === 'SendMessage') return withTrace(input);
  if (operation !== 'SendMessageBatch') return input;
  return { ...input, Entries: (input.Entries as Record<string, unknown>[]).map(withTrace) };
}
