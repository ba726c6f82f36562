/**
 * What Tranship costs on AWS, worked out from what a stack has and what it does: docs/cost.md. Dollars everywhere.
 */

/** List prices of us-east-1, November 2026. */
const prices = {
  gigabyteSecond: 0.0000133334,
  invocation: 0.2 / 1e6,
  readUnit: 0.125 / 1e6,
  writeUnit: 0.625 / 1e6,
  queueRequest: 0.4 / 1e6,
  secret: 0.4,
  alarmMetric: 0.1,
  customMetric: 0.3,
  dashboard: 3,
};

/** What every account has for nothing each month, also after its first year. */
const free = { queueRequests: 1e6, alarmMetrics: 10, customMetrics: 10, dashboards: 3 };

/**
 * Lambda's pollers of a queue while nothing comes, one request each 20 s. Without a maximum concurrency it would be down
 * to two: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
 */
const POLLERS = 5;
const POLLS_A_MONTH = (POLLERS * 30 * 86_400) / 20;

/** What a stack has that costs something while nothing happens. */
export interface Resting {
  secrets: number;
  /** Metrics that alarms watch. */
  alarmMetrics: number;
  /** Queues that a function reads. */
  polledQueues: number;
  dashboards: number;
  /** Metrics that are written each hour. */
  customMetrics: number;
}

/** @param options.withFree what the account has for nothing is not used by others in it */
export function restingBill(stack: Resting, { withFree }: { withFree: boolean }): Record<keyof Resting, number> {
  const pay = (used: number, allowed: number, price: number) => Math.max(0, used - (withFree ? allowed : 0)) * price;
  return {
    secrets: stack.secrets * prices.secret,
    alarmMetrics: pay(stack.alarmMetrics, free.alarmMetrics, prices.alarmMetric),
    polledQueues: pay(stack.polledQueues * POLLS_A_MONTH, free.queueRequests, prices.queueRequest),
    dashboards: pay(stack.dashboards, free.dashboards, prices.dashboard),
    customMetrics: pay(stack.customMetrics, free.customMetrics, prices.customMetric),
  };
}

/** What functions did. */
export interface Work {
  invocations: number;
  /** Of all invocations together. */
  seconds: number;
  memoryMb: number;
  readUnits: number;
  writeUnits: number;
  queueRequests: number;
}

export function workBill(work: Work): number {
  return (
    work.invocations * prices.invocation +
    work.seconds * (work.memoryMb / 1024) * prices.gigabyteSecond +
    work.readUnits * prices.readUnit +
    work.writeUnits * prices.writeUnit +
    work.queueRequests * prices.queueRequest
  );
}

/** What the network is taken to give; neither was measured on AWS. */
const HEAD_SECONDS = 0.05;
const HEADS_AT_ONCE = 16;
const BYTES_A_SECOND = 70e6;
/** What of its 15 minutes a copier works. */
const COPIER_SECONDS = 14 * 60;

/** A million unchanged tags, as the planner looks at them: by the calls that `bench/cost.ts` counts. */
export function unchangedMillion(plannerMemoryMb: number): Work {
  const pages = 1e6 / 1000;
  const seconds = (1e6 * HEAD_SECONDS) / HEADS_AT_ONCE;
  return {
    invocations: Math.ceil(seconds / 540),
    seconds,
    memoryMb: plannerMemoryMb,
    readUnits: 23.5 * pages,
    writeUnits: 2 * pages,
    queueRequests: 3 * Math.ceil(seconds / 540),
  };
}

/** A terabyte in layers of so many bytes, one at a time; each takes a write before and one after. */
export function movedTerabyte(copierMemoryMb: number, layerBytes = 100e6): Work {
  const seconds = 1e12 / BYTES_A_SECOND;
  const layers = 1e12 / layerBytes;
  return {
    invocations: Math.ceil(seconds / COPIER_SECONDS),
    seconds,
    memoryMb: copierMemoryMb,
    readUnits: layers,
    writeUnits: 2 * layers,
    queueRequests: 3 * Math.ceil(seconds / COPIER_SECONDS),
  };
}

export const sum = (bill: Record<string, number>): number => Object.values(bill).reduce((all, one) => all + one, 0);
