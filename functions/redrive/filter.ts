import * as v from 'valibot';
import { mapOf, wordOf } from '../../core/config/shape.ts';
import type { ErrorCode } from '../../core/model/errors.ts';
import { readEvent } from '../read-event.ts';
import type { RedriveFilter } from './redrive.ts';

const filterSchema = mapOf({
  class: v.optional(wordOf(['permanent', 'transient', 'throttled', 'configuration'])),
  code: v.optional(v.custom<ErrorCode>((code) => typeof code === 'string', 'is not a code')),
  ruleId: v.optional(v.string()),
});

/**
 * Reads which dead letters are asked for.
 * @throws TranshipError `config-invalid`: a filter that is mistyped must not mean "all"
 */
export function parseFilter(event: unknown): RedriveFilter {
  return readEvent(filterSchema, event, {
    what: 'the event does not say which dead letters are wanted',
    mend: 'give nothing, or {"class": "transient", "code": "timeout", "ruleId": "nginx"}, or some of these',
  });
}
