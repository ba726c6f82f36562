import { configurationError } from '../../core/model/errors.ts';
import type { RedriveFilter } from './redrive.ts';

/**
 * Reads which dead letters are asked for.
 * @throws TranshipError `config-invalid`: a filter that is mistyped must not mean "all"
 */
export function parseFilter(event: unknown): RedriveFilter {
  const fields = (event ?? {}) as Record<string, unknown>;
  const known = ['class', 'code', 'ruleId'];
  const isFilter =
    typeof fields === 'object' &&
    Object.entries(fields).every(([name, value]) => known.includes(name) && typeof value === 'string');
  if (isFilter) return fields as RedriveFilter;
  throw configurationError('the event does not say which dead letters are wanted', {
    mend: 'give nothing, or {"class": "transient", "code": "timeout", "ruleId": "nginx"}, or some of these',
  });
}
