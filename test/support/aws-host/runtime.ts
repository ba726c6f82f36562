import { flushCompileCache } from 'node:module';
import { pathToFileURL } from 'node:url';

/**
 * The program of a function's process: loads the handler and calls it with what its parent sends, one event at a time,
 * as Lambda's runtime for Node does. Events and results cross as JSON.
 */

export interface Invoke {
  event: string;
  requestId: string;
  functionName: string;
  functionArn: string;
  memoryMb: number;
  /** X-Ray trace header, for the SDK. */
  trace: string;
  /** Epoch ms. */
  deadline: number;
  /** By how much the function's clock is ahead. */
  aheadMs: number;
}

/** Ends the time of what is invoked now; an event has no such text. */
export const HURRY = 'hurry';

export type Message =
  | { kind: 'ready' }
  | { kind: 'result'; payload: string }
  | { kind: 'error'; type: string; message: string };

type Handler = (event: unknown, context: object) => Promise<unknown>;

let aheadMs = 0;
let deadline = Number.POSITIVE_INFINITY;
/** What the invocation does when its time is nearly over, the first first. */
let atTheEnd: Array<{ ms: number; timer: NodeJS.Timeout; act: () => void }> = [];
const realSetTimeout = globalThis.setTimeout;
const realNow = Date.now;
const RealDate = Date;
const leftMs = () => Math.max(deadline - realNow(), 0);

/** The clock that the bundle sees: the test may put it forward, so that leases, parks and caches end without a wait. */
globalThis.Date = class extends RealDate {
  constructor(...fields: unknown[]) {
    // @ts-expect-error The forms of Date's constructor, passed through.
    super(...(fields.length === 0 ? [realNow() + aheadMs] : fields));
  }

  static override now(): number {
    return realNow() + aheadMs;
  }
} as DateConstructor;
/** Logins and connections are kept by this one. */
const realElapsed = performance.now.bind(performance);
performance.now = () => realElapsed() + aheadMs;

/** Notes timers that go by what an invocation has left, so that the test need not wait for them. */
function setNotedTimeout(callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): NodeJS.Timeout {
  const timer = realSetTimeout(callback, ms, ...args);
  if (ms !== undefined && ms > leftMs() / 2) atTheEnd.push({ ms, timer, act: () => callback(...args) });
  return timer;
}
globalThis.setTimeout = Object.defineProperties(
  setNotedTimeout,
  Object.getOwnPropertyDescriptors(realSetTimeout),
) as typeof setTimeout;
/** The first of them now. The others keep their time: what is under way may end. */
function hurry(): void {
  const [first] = atTheEnd.sort((a, b) => a.ms - b.ms);
  atTheEnd = [];
  if (first === undefined) return;
  clearTimeout(first.timer);
  first.act();
}

function send(message: Message): void {
  process.send?.(message);
}

function sendError(error: unknown): void {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  send({ kind: 'error', type: name, message });
}

async function answer(handler: Handler, invoke: Invoke): Promise<void> {
  const { requestId, functionName, functionArn, memoryMb, trace } = invoke;
  process.env._X_AMZN_TRACE_ID = trace;
  const context = {
    awsRequestId: requestId,
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: functionArn,
    memoryLimitInMB: String(memoryMb),
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: leftMs,
  };
  try {
    const result = await handler(JSON.parse(invoke.event), context);
    send({ kind: 'result', payload: JSON.stringify(result ?? null) });
  } catch (error) {
    console.error(error);
    sendError(error);
  } finally {
    atTheEnd = [];
  }
}

const [file = '', name = ''] = process.argv.slice(2);
const module = await import(pathToFileURL(file).href).catch((error: unknown) => {
  console.error(error);
  return undefined;
});
const handler = module?.[name];
if (typeof handler === 'function') {
  process.on('message', (invoke: Invoke | typeof HURRY) => {
    if (invoke === HURRY) return hurry();
    ({ aheadMs, deadline } = invoke);
    answer(handler, invoke);
  });
  send({ kind: 'ready' });
  // At once, since many of these processes are killed.
  flushCompileCache();
} else {
  console.error(`${file} has no function ${name}`);
  process.exit(1);
}
process.on('disconnect', () => process.exit(0));
