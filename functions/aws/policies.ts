import { type ChancePolicy, defaultChances } from '../../core/pipeline/second-chance.ts';
import { cloudPolicy, type TryPolicy } from '../../core/pipeline/try-policy.ts';
import { readNumber } from './environment.ts';

/** How often the functions try, by the stack's settings. */
export function readPolicies(): { policy: TryPolicy; chances: ChancePolicy } {
  const backoffMs = readNumber('TRANSHIP_BACKOFF_SECONDS', 30) * 1000;
  return {
    policy: cloudPolicy({ tries: readNumber('TRANSHIP_ATTEMPTS', 5), backoffMs }),
    chances: {
      chances: readNumber('TRANSHIP_REDRIVES', defaultChances.chances),
      pauseMs: readNumber('TRANSHIP_REDRIVE_AFTER_SECONDS', defaultChances.pauseMs / 1000) * 1000,
    },
  };
}
