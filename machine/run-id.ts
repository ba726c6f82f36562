import { randomBytes } from 'node:crypto';

/** Sorts by time; no two processes get the same. */
export function createRunId(startedAt: number): string {
  return `${new Date(startedAt).toISOString().replace(/[-:]|\.\d+/g, '')}-${randomBytes(3).toString('hex')}`;
}
