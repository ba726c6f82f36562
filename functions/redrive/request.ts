import * as v from 'valibot';
import { mapOf, wordOf } from '../../core/config/shape.ts';
import { errorClasses, errorCodes } from '../../core/model/errors.ts';
import { readEvent } from '../read-event.ts';
import type { RedriveRequest } from './redrive.ts';

const requestSchema = mapOf({
  /** Only the schedule says this. */
  trigger: v.optional(v.literal('schedule')),
  class: v.optional(wordOf(errorClasses)),
  code: v.optional(wordOf(errorCodes)),
  ruleId: v.optional(v.string()),
});

/**
 * Reads what is to be tried again.
 * @param id of the request; names the run that it may become
 * @throws TranshipError `config-invalid`: a filter that is mistyped must not mean "all"
 */
export function parseRequest(event: unknown, id: string): RedriveRequest {
  const { trigger, ...filter } = readEvent(requestSchema, event, {
    what: 'the event does not say which dead letters are wanted',
    mend: 'give nothing, or {"class": "transient", "code": "timeout", "ruleId": "nginx"}, or some of these',
  });
  return trigger === 'schedule' ? { kind: 'due' } : { kind: 'asked', filter, id };
}
