/** When to start a run. */
export interface RunSchedule {
  /** Names the schedule and, in the ledger, the runs it starts. Letters, digits and hyphens. */
  name: string;
  /** As EventBridge Scheduler writes it: `cron(0 3 * * ? *)`, `rate(1 hour)`. */
  expression: string;
  /** IANA name. @default 'UTC' */
  timeZone?: string;
  /** Ids of the rules to expand. @default all */
  rules?: string[];
}
