import * as v from 'valibot';
import { mapOf, wordOf } from '../../core/config/shape.ts';
import { errorClasses, errorCodes } from '../../core/model/errors.ts';
import { readEvent } from '../read-event.ts';
import type { RedriveFilter } from './redrive.ts';

const filterSchema = mapOf({
  class: v.optional(wordOf(errorClasses)),
  code: v.optional(wordOf(errorCodes)),
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
