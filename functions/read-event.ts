import type { GenericSchema, InferOutput } from 'valibot';
import { check, formatPath } from '../core/config/shape.ts';
import { configurationError } from '../core/model/errors.ts';

/**
 * Reads the event of an invocation by hand or by a schedule; none is as good as `{}`.
 *
 * @param refusal what is said first where the event does not fit the schema, and what to write instead
 * @throws TranshipError `config-invalid` with everything that is wrong
 */
export function readEvent<Schema extends GenericSchema>(
  schema: Schema,
  event: unknown,
  refusal: { what: string; mend: string },
): InferOutput<Schema> {
  const nameOf = (path: Array<string | number>) => (path.length === 0 ? 'the event' : formatPath(path));
  const { value, faults } = check(schema, event ?? {}, { nameOf, isSecret: false });
  if (faults === undefined) return value;
  const told = faults.map(({ what, mend }) => (mend === undefined ? what : `${what} (${mend})`));
  throw configurationError(`${refusal.what}: ${told.join(', ')}`, { mend: refusal.mend });
}
