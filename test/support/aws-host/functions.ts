import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Answer, type LambdaProcess, startLambdaProcess } from './lambda-process.ts';
import { arnOf, physicalName } from './names.ts';
import { type Found, type Resolved, region, type Template } from './template.ts';
import { formatTrace, MOST_INVOCATIONS, newTrace, nextTrace, type Trace } from './trace.ts';

/** A function as the template describes it. */
export interface FunctionSpec {
  id: string;
  path: string;
  name: string;
  arn: string;
  /** Logical id of its role. */
  role: string;
  logGroup: string;
  folder: string;
  file: string;
  handler: string;
  environment: Record<string, string>;
  timeoutMs: number;
  memoryMb: number;
  reservedConcurrency: number | undefined;
  /** `Allow`: an event may come to it more than 16 times. */
  recursiveLoop: string | undefined;
}

/** What became of one invocation. */
export interface Invocation {
  function: string;
  event: unknown;
  answer: Answer;
  durationMs: number;
  trace: Trace;
}

export interface Functions {
  specs: FunctionSpec[];
  invocations: Invocation[];
  /** How many work now, by logical id. */
  busy(id: string): number;
  /** Most that worked at once. */
  mostBusy(id: string): number;
  /** @param trace of the event; a new one where it comes from outside */
  invoke(id: string, event: unknown, trace?: Trace): Promise<Answer>;
  /** Kills all processes of a function, in the middle of what they do; returns how many worked. */
  kill(id: string): Promise<number>;
  /** Has the time of all its invocations be nearly over now. */
  hurry(id: string): void;
  /** Puts the clock of the functions forward, from their next invocation on. */
  advance(ms: number): void;
  /** What a function wrote. */
  output(id: string): string;
  close(): Promise<void>;
}

/** Reads the functions of a template. `assets`: the folder that the paths of the assets start from. */
export function readFunctions(template: Template, resolved: Resolved, assets: string): FunctionSpec[] {
  return resolved
    .ofType('AWS::Lambda::Function')
    .filter(isNode)
    .map((found) => {
      const { id, path, properties } = found;
      const name = physicalName(id, template.Resources[id]!, resolved);
      const [module = '', handler = ''] = String(properties.Handler).split('.');
      const bundle = found.folder ?? bundleOf(properties.Code);
      if (bundle === undefined) throw new Error(`${id} has no bundle`);
      if (properties.Runtime !== 'nodejs24.x') throw new Error(`${id} is for ${properties.Runtime}, not nodejs24.x`);
      const folder = join(assets, bundle);
      return {
        id,
        path,
        name,
        arn: arnOf('AWS::Lambda::Function', name),
        role: roleOf(template.Resources[id]!.Properties?.Role),
        logGroup: (properties.LoggingConfig as { LogGroup?: string })?.LogGroup ?? `/aws/lambda/${name}`,
        folder,
        file: join(folder, `${module}.mjs`),
        handler,
        environment: (properties.Environment as { Variables?: Record<string, string> })?.Variables ?? {},
        timeoutMs: Number(properties.Timeout ?? 3) * 1000,
        memoryMb: Number(properties.MemorySize ?? 128),
        reservedConcurrency: properties.ReservedConcurrentExecutions as number | undefined,
        recursiveLoop: properties.RecursiveLoop as string | undefined,
      };
    });
}

/** CDK's own helpers (custom resources) are not the product's. */
function isNode({ path }: Found): boolean {
  return !path.includes('Custom::');
}

/** CDK unpacks an asset beside the template, under the hash that its archive would have. */
function bundleOf(code: unknown): string | undefined {
  const key = (code as { S3Key?: string })?.S3Key;
  return key === undefined ? undefined : `asset.${key.replace(/\.zip$/, '')}`;
}

function roleOf(role: unknown): string {
  const [id] = (role as { 'Fn::GetAtt'?: string[] })?.['Fn::GetAtt'] ?? [];
  if (id === undefined) throw new Error('a function has no role of the stack');
  return id;
}

/** What the host sets beside the template's variables: Lambda's reserved ones, and the address of the AWS APIs. */
function environmentOf(spec: FunctionSpec, endpoint: string, cache: string): Record<string, string> {
  return {
    ...spec.environment,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_ACCESS_KEY_ID: spec.id,
    AWS_SECRET_ACCESS_KEY: 'none',
    AWS_SESSION_TOKEN: 'none',
    AWS_ENDPOINT_URL: endpoint,
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    AWS_LAMBDA_FUNCTION_NAME: spec.name,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMb),
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: spec.logGroup,
    AWS_LAMBDA_LOG_STREAM_NAME: '2026/01/01/[$LATEST]0',
    _HANDLER: `index.${spec.handler}`,
    LAMBDA_TASK_ROOT: spec.folder,
    TZ: ':UTC',
    // Not Lambda's: the second process of a function starts in half the time.
    NODE_COMPILE_CACHE: cache,
  };
}

/**
 * Runs functions, each in processes of its own: an idle one is used again, the last one first, and a new one is started
 * where all work. What it does not do: freeze a process between invocations, throttle the CPU by memory, retire idle
 * processes.
 */
export function createFunctions(specs: FunctionSpec[], endpoint: string): Functions {
  const states = new Map(
    specs.map((spec) => [
      spec.id,
      { spec, idle: [] as LambdaProcess[], all: new Set<LambdaProcess>(), busy: 0, most: 0, output: '' },
    ]),
  );
  const stateOf = (id: string) => states.get(id) ?? fail(`there is no function ${id}`);
  const invocations: Invocation[] = [];
  const cache = mkdtempSync(join(tmpdir(), 'tranship-functions-'));
  let isClosed = false;
  let aheadMs = 0;

  async function processFor(id: string): Promise<LambdaProcess> {
    const state = stateOf(id);
    for (;;) {
      const idle = state.idle.pop();
      if (idle?.isAlive()) return idle;
      if (idle === undefined) break;
      state.all.delete(idle);
    }
    const { spec } = state;
    const started = await startLambdaProcess({
      ...spec,
      environment: environmentOf(spec, endpoint, cache),
      onOutput: (text) => {
        state.output += text;
      },
    });
    state.all.add(started);
    if (isClosed) await started.kill();
    return started;
  }

  return {
    specs,
    invocations,
    busy: (id) => stateOf(id).busy,
    mostBusy: (id) => stateOf(id).most,
    async invoke(id, event, from = newTrace()) {
      const state = stateOf(id);
      const { spec } = state;
      const trace = nextTrace(from, id);
      if ((trace.lineage.get(id) ?? 0) > MOST_INVOCATIONS && spec.recursiveLoop !== 'Allow') {
        return { ok: false, type: 'RecursiveInvocationException', message: `${id} runs in a loop` };
      }
      if (isClosed || state.busy >= (spec.reservedConcurrency ?? Number.POSITIVE_INFINITY)) {
        return { ok: false, type: 'TooManyRequestsException', message: 'throttled' };
      }
      state.busy += 1;
      state.most = Math.max(state.most, state.busy);
      try {
        const process = await processFor(id);
        const startedAt = Date.now();
        const answer = await process.invoke(
          {
            event: JSON.stringify(event),
            requestId: randomUUID(),
            functionName: spec.name,
            functionArn: spec.arn,
            memoryMb: spec.memoryMb,
            trace: formatTrace(trace),
            aheadMs,
          },
          spec.timeoutMs,
        );
        invocations.push({ function: id, event, answer, durationMs: Date.now() - startedAt, trace });
        if (process.isAlive()) state.idle.push(process);
        else state.all.delete(process);
        return answer;
      } finally {
        state.busy -= 1;
      }
    },
    async kill(id) {
      const state = stateOf(id);
      const working = [...state.all].filter((process) => process.isAlive() && !state.idle.includes(process));
      await Promise.all([...state.all].map((process) => process.kill()));
      return working.length;
    },
    hurry(id) {
      for (const process of stateOf(id).all) if (process.isAlive()) process.hurry();
    },
    advance(ms) {
      aheadMs += ms;
    },
    output: (id) => stateOf(id).output,
    async close() {
      isClosed = true;
      for (const { all } of states.values()) await Promise.all([...all].map((process) => process.kill()));
      // A process that was killed may still be writing to it.
      rmSync(cache, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
    },
  };
}

function fail(message: string): never {
  throw new Error(message);
}
