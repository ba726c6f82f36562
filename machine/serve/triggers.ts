/** What runs of announced tags say started them. */
export const pushTrigger = 'push';
/** What the run says started it that catches up when the process starts. */
export const startTrigger = 'start';
/** What runs that a person starts from the status page say started them. */
export const byHandTrigger = 'by-hand';

const schedule = 'schedule';

/** What the runs of a schedule say started them: `schedule 0 3 * * *`, and what else makes it another schedule. */
export function scheduleTrigger(parts: ReadonlyArray<string | undefined>): string {
  return [schedule, ...parts.filter((part) => part !== undefined)].join(' ');
}

export function isSchedule(trigger: string): boolean {
  return trigger.startsWith(`${schedule} `);
}
