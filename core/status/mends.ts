import type { ErrorCode } from '../model/errors.ts';
import table from './mends.json' with { type: 'json' };

/** What happened, and what a person can do about it. */
export interface Mend {
  what: string;
  mend: string;
}

/** By error code, as docs/errors.md has it: `npm run schema` makes the table anew. */
export const mends: Record<ErrorCode, Mend> = table;
