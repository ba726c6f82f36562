import type { PullQuota } from '../../core/registry/headers/rate-limit.ts';
import { formatCount, formatDuration } from '../view/format.ts';

/** `37 of 100 pulls left, in 6 h` */
export function formatQuota({ limit, remaining, windowMs }: PullQuota): string {
  return formatBudget({ pulls: limit, left: remaining, windowMs });
}

export function formatBudget({ pulls, left, windowMs }: { pulls: number; left: number; windowMs: number }): string {
  return `${formatCount(left)} of ${formatCount(pulls)} pulls left, in ${formatDuration(windowMs)}`;
}
