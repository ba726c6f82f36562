import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createSlots } from '../../core/model/slots.ts';
import { outcomeOf } from '../../core/pipeline/outcome.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { urlToken } from '../support/announce.ts';
import type { RecordedCall } from '../support/aws-host/api-proxy.ts';
import { until } from '../support/aws-host/between-registries.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';
import { MOST_INVOCATIONS, newTrace, type Trace } from '../support/aws-host/trace.ts';
import { noPlatforms } from '../support/functions.ts';
import { webhooksFile } from '../support/synth.ts';

/**
 * `refuse`: the call fails and has no effect, in all attempts of the SDK. `lose`: it has its effect, and no answer
 * comes.
 */
type Effect = 'refuse' | 'lose';

interface Fault {
  /** As {@link kindOf} names calls. */
  kind: string;
  effect: Effect;
  /** The one call that it hits. */
  attemptsId?: string | undefined;
}

const RULES = 150;
const CASES_AT_ONCE = 12;
/** Longer waits than elsewhere: a look for the end of a run reads all of it, and many runs wait for theirs at once. */
const options = { longestWaitSeconds: 0.8 };

let source: EmbeddedRegistry;
let destination: EmbeddedRegistry;
let parked: EmbeddedRegistry;
let stack: Deployment;
let url: string;
/** By the root of a trace: one at most for each function. */
const faults = new Map<string, Fault[]>();
let used = 0;
/** Called for each call, before the faults. */
let beforeCall: ((call: RecordedCall) => Promise<void>) | undefined;

/** A rule that no test has used, with an image at its source. */
async function nextRule(): Promise<string> {
  const name = `c${used++}`;
  await pushImage({ url: source.url, repository: `${name}/app` }, { seed: name, tag: '1' });
  return name;
}

beforeAll(async () => {
  [source, destination, parked] = await Promise.all([startRegistry(), startRegistry(), startRegistry()]);
  const rules = Array.from({ length: RULES }, (_, n) => `c${n}`).map((name) => ({
    name,
    from: `${source.host}/${name}/app`,
    to: [`${destination.host}/${name}/app`],
  }));
  const file = webhooksFile(`ci: { dialect: plain, token: $CI_TOKEN, allow: ["${source.host}"] }`);
  stack = await deploy(
    rules,
    { webhooksFile: file, attempts: 3, plannerConcurrency: 4, pushedCopierConcurrency: 2 },
    options,
  );
  const logins = [source, destination, parked].map(({ host }) => [host, { insecure: true }]);
  stack.host.putSecret('Logins/Secret', JSON.stringify(Object.fromEntries(logins)));
  stack.host.putSecret('Webhook/Secret', JSON.stringify({ CI_TOKEN: urlToken }));
  url = await stack.host.functionUrl('Webhook/Handler/Function');
  stack.host.onCall(async (call) => {
    await beforeCall?.(call);
    const kind = kindOf(call);
    const fault = faults.get(call.root ?? '')?.find((one) => one.kind === kind);
    if (fault === undefined) return undefined;
    fault.attemptsId ??= call.attemptsId;
    return fault.attemptsId === call.attemptsId ? fault.effect : undefined;
  });
});
afterAll(async () => {
  await stack?.close();
  await Promise.all([source, destination, parked].map((registry) => registry?.close()));
});

/** `Copier UpdateItem lease`: function, operation, and what it is done to. */
function kindOf({ function: id, service, operation, resources, keys }: RecordedCall): string {
  const name = /Planner|Copier|Redrive|Webhook/.exec(id)?.[0] ?? id;
  const key = [keys['dynamodb:LeadingKeys'] ?? []].flat()[0] ?? '';
  const [kind, , part] = key.split('#');
  const what = service === 'dynamodb' ? `${kind}${kind === 'run' && part ? ` ${part}` : ''}` : resourceName(resources);
  return `${name} ${operation} ${what}`;
}

function resourceName([arn = '']: string[]): string {
  return /(?:Pushed)?(?:Tasks|Plans)(?:Queue|DeadLetters)|Secret|Topic|event-bus/.exec(arn)?.[0] ?? arn;
}

/**
 * Starts a run by its schedule, which tries again as EventBridge Scheduler and Lambda do.
 *
 * @returns what is wrong in the end
 */
async function runOnSchedule(trace: Trace): Promise<string[]> {
  const rule = await nextRule();
  const runId = await stack.start(rule, trace);
  const { state, counts } = await stack.ended(runId);
  // A second task may find what the first one did, and be the first to say so. Without one it is copied, also where an
  // earlier try could not say so.
  const sent = stack.host.calls.filter(
    (call) => call.root === trace.root && kindOf(call) === 'Planner SendMessageBatch TasksQueue',
  );
  const copied = counts.copied + (sent.length > 1 ? counts.unchanged : 0);
  const ended = [state, counts.planned, copied, counts.failed].join(' ');
  return ended === 'done 1 1 0' ? wrongAt(rule) : [`the run ended as ${ended}`];
}

/** Announces a push, again until it is taken, as senders do. @returns what is wrong in the end */
async function push(trace: Trace): Promise<string[]> {
  const rule = await nextRule();
  const headers = { 'content-type': 'application/json', 'x-amzn-trace-id': `Root=${trace.root}` };
  const body = JSON.stringify({ image: `${source.host}/${rule}/app:1` });
  for (let tries = 0; ; tries++) {
    const { status } = await fetch(`${url}/hooks/ci/${urlToken}`, { method: 'POST', headers, body });
    if (status === 200) break;
    // 502: the function was out of time, or went away.
    if (![502, 503].includes(status) || tries === 5) return [`the push was answered with ${status}`];
  }
  await until(() => wrongAt(rule).length === 0, 100_000);
  return [];
}

/**
 * Has a dead letter, a look for a run's end among the dead plans, and a tag that failed for good tried again, by a
 * person who asks until it works. @returns what is wrong in the end
 */
async function redrive(trace: Trace): Promise<string[]> {
  const { host, ledger } = stack;
  const rules = [await nextRule(), await nextRule()];
  const [dead, failed] = rules as [string, string];
  const now = Date.now();
  const failure = { class: 'transient', code: 'server-error', message: 'it was away' } as const;
  const tasks = rules.map(
    (rule): Task => ({
      version: 1,
      runId: `of-${rule}`,
      ruleId: rule,
      source: { registry: source.host, repository: `${rule}/app`, tag: '1' },
      destinations: [{ registry: destination.host, repository: `${rule}/app`, tag: '1' }],
      platforms: noPlatforms,
      force: false,
      plannedAt: now,
      attempt: 3,
      failure,
    }),
  );
  for (const { runId, ruleId } of tasks) {
    await ledger.startRun({ id: runId, trigger: 'test', startedAt: now, rules: 1 });
    await ledger.recordPage({ runId, ruleId, after: '', planned: 1, unchanged: 0 });
  }
  const [letter, ended] = tasks as [Task, Task];
  await host.send('Tasks/DeadLetters', JSON.stringify(letter));
  const look = { version: 1, kind: 'end-check', runId: letter.runId, attempt: 0 };
  await host.send('Plans/DeadLetters', JSON.stringify(look));
  const { runId, ruleId } = ended;
  const outcome = outcomeOf(ended, ended.destinations[0]!, { result: 'failed', failure, at: now });
  await ledger.recordOutcome({ ...outcome, platforms: noPlatforms });
  await ledger.endRun(runId, 'done', now);
  for (let tries = 0; ; tries++) {
    const answers = [
      await host.invoke('Redrive/Function', { ruleId: dead }, trace),
      await host.invoke('Redrive/Function', { ruleId }, trace),
    ];
    if (answers.every(({ ok }) => ok)) break;
    if (tries === 5) return [`redrive fails: ${JSON.stringify(answers)}`];
    // As their visibility timeouts end.
    for (const queue of ['Tasks/DeadLetters', 'Plans/DeadLetters']) await host.queue(queue).reveal();
  }
  await until(() => [...wrongAt(dead), ...wrongAt(failed)].length === 0, 60_000);
  return [];
}

function wrongAt(rule: string): string[] {
  const digest = ({ content }: EmbeddedRegistry) => content.manifest(`${rule}/app`, '1')?.digest;
  return digest(source) === digest(destination) ? [] : [`${rule} is ${digest(destination)} at the destination`];
}

/** Kinds of calls in a run or push without faults, in the order of their first. */
async function kindsOf(scenario: typeof push): Promise<string[]> {
  const trace = newTrace();
  expect(await scenario(trace)).toEqual([]);
  // The last calls come after what the scenario waits for.
  await stack.host.settle();
  return [...new Set(stack.host.calls.filter(({ root }) => root === trace.root).map(kindOf))];
}

/**
 * Runs a scenario once, in which one call of each kind fails so.
 * @returns a line for each kind
 */
async function runCase(scenario: typeof push, kinds: string[], effect: Effect): Promise<string[]> {
  const trace = newTrace();
  const hit = kinds.map((kind): Fault => ({ kind, effect }));
  faults.set(trace.root, hit);
  const wrong = await scenario(trace).catch((error: Error) => [error.message.slice(0, 300)]);
  // The last calls come after what the scenario waits for.
  await until(() => hit.every(({ attemptsId }) => attemptsId !== undefined), 30_000).catch(() => {});
  return hit.map(({ kind, attemptsId }) => {
    const problems = attemptsId === undefined ? [...wrong, 'no such call was made'] : wrong;
    return `${kind.padEnd(42)} ${effect.padEnd(6)} ${problems.length === 0 ? 'ok' : problems}`;
  });
}

/**
 * Runs a scenario as often as it takes for each kind of call to fail in each way, one call of each function at a time.
 */
async function matrix(scenario: typeof push, kinds: string[]): Promise<string[]> {
  const slots = createSlots(CASES_AT_ONCE);
  const cases = (['refuse', 'lose'] as const).flatMap((effect) => {
    // A read whose answer is lost had no effect either.
    const hit = kinds.filter((kind) => effect === 'refuse' || !isRead(kind));
    const byFunction = [...Map.groupBy(hit, (kind) => kind.split(' ', 1)[0]).values()];
    const rounds = Math.max(...byFunction.map((list) => list.length));
    return Array.from({ length: rounds }, (_, n) =>
      slots(() =>
        runCase(
          scenario,
          byFunction.flatMap((list) => list[n] ?? []),
          effect,
        ),
      ),
    );
  });
  return (await Promise.all(cases)).flat();
}

const isRead = (kind: string) => / (Query|GetItem|GetSecretValue) /.test(kind);
const isSecret = (kind: string) => kind.includes('GetSecretValue');
const failed = (lines: string[]) => lines.filter((line) => !line.endsWith(' ok'));

async function openRuns(): Promise<string[]> {
  return (await stack.ledger.listRuns(500)).filter(({ state }) => state === 'running').map(({ id }) => id);
}

describe('each AWS call of a function fails once, with and without its effect', () => {
  it('and every run ends, every tag is there, and nothing is left in a queue', { timeout: 400_000 }, async () => {
    const { host } = stack;
    // The first ones start the functions, which read their secrets then.
    const runs = await kindsOf(runOnSchedule);
    const pushes = (await kindsOf(push)).filter((kind) => kind.startsWith('Webhook'));
    // A lease that could not be given back ends after a minute: the clock is put forward, and again.
    const clock = setInterval(() => host.advance(61_000), 4_000);
    onTestFinished(() => clearInterval(clock));
    const lines = await Promise.all([
      matrix(
        runOnSchedule,
        runs.filter((kind) => !isSecret(kind)),
      ),
      matrix(
        push,
        pushes.filter((kind) => !isSecret(kind)),
      ),
    ]);
    // A secret that was read is kept, so that functions must be started anew to read it.
    await host.settle();
    for (const name of ['Planner', 'Copier', 'Webhook/Handler']) await host.kill(`${name}/Function`);
    lines.push(await runCase(runOnSchedule, runs.filter(isSecret), 'refuse'));
    lines.push(await runCase(push, pushes.filter(isSecret), 'refuse'));
    console.info(`\n${lines.flat().sort().join('\n')}\n`);
    expect(failed(lines.flat())).toEqual([]);
    expect(lines.flat().length).toBeGreaterThan(40);

    await host.settle();
    for (const queue of ['Tasks/Queue', 'PushedTasks/Queue', 'Plans/Queue', 'Tasks/DeadLetters', 'Plans/DeadLetters']) {
      expect([queue, host.queue(queue).bodies()]).toEqual([queue, []]);
    }
    expect(await openRuns()).toEqual([]);
    expect(host.permissions.denied()).toEqual([]);
  });

  it('and so where the webhook goes away in the middle', async () => {
    const { host } = stack;
    const pushes = (await kindsOf(push)).filter((kind) => kind.startsWith('Webhook'));
    for (const kind of pushes) {
      const trace = newTrace();
      let killed = 0;
      beforeCall = async (call) => {
        if (killed > 0 || call.root !== trace.root || kindOf(call) !== kind) return;
        killed += await host.kill('Webhook/Handler/Function');
      };
      expect([kind, await push(trace), killed]).toEqual([kind, [], 1]);
    }
    beforeCall = undefined;
    await host.settle();
    expect(await openRuns()).toEqual([]);
  });
});

describe('each AWS call of the redrive function fails once, with and without its effect', () => {
  it('and what was asked for is tried again, every run ends, and no letter is left', async () => {
    const { host } = stack;
    const kinds = (await kindsOf(redrive)).filter((kind) => kind.startsWith('Redrive'));
    const lines: string[] = [];
    for (const effect of ['refuse', 'lose'] as const) {
      for (const kind of kinds) {
        // A lost answer of a receipt hides the letters, which is what a read that failed does too.
        if (effect === 'lose' && (isRead(kind) || kind.includes('ReceiveMessage'))) continue;
        // One at a time: all would take each other's letters.
        lines.push(...(await runCase(redrive, [kind], effect)));
      }
    }
    console.info(`\n${lines.sort().join('\n')}\n`);
    expect(failed(lines)).toEqual([]);
    expect(lines.length).toBeGreaterThan(15);
    await host.settle();
    for (const queue of ['Tasks/Queue', 'Plans/Queue', 'Tasks/DeadLetters', 'Plans/DeadLetters']) {
      expect([queue, host.queue(queue).bodies()]).toEqual([queue, []]);
    }
    expect(await openRuns()).toEqual([]);
    expect(host.permissions.denied()).toEqual([]);
  });
});

describe('a chain of messages longer than Lambda lets a loop be', () => {
  /** The trace of an event that has come to a function nearly as often as a loop may. */
  function longTrace(name: string): Trace {
    const id = stack.host.invocations.find((one) => one.function.includes(name))?.function ?? name;
    return { ...newTrace(), lineage: new Map([[id, MOST_INVOCATIONS - 2]]) };
  }
  const invocations = ({ root }: Trace) =>
    Math.max(
      0,
      ...stack.host.invocations
        .filter(({ trace }) => trace.root === root)
        .map((one) => one.trace.lineage.get(one.function) ?? 0),
    );

  it('of looks for the end of a run goes on until it ends', async () => {
    const { host, ledger } = stack;
    const [runId, trace] = ['long', longTrace('Planner')];
    await ledger.startRun({ id: runId, trigger: 'test', startedAt: Date.now(), rules: 1 });
    await host.send('Plans/Queue', JSON.stringify({ version: 1, kind: 'end-check', runId, attempt: 0 }), trace);
    await until(() => invocations(trace) > MOST_INVOCATIONS + 1);
    await ledger.recordPage({ runId, ruleId: 'c0', after: '', planned: 0, unchanged: 0 });
    expect(await stack.ended(runId)).toMatchObject({ state: 'done' });
  });

  it('of waits for a parked registry goes on until it is free', async () => {
    const { host, ledger } = stack;
    const [runId, trace, now] = ['waits', longTrace('Copier'), Date.now()];
    const repository = 'parked/app';
    const { digest } = await pushImage({ url: parked.url, repository }, { seed: 'parked', tag: '1' });
    const task: Task = {
      version: 1,
      runId,
      ruleId: 'c0',
      source: { registry: parked.host, repository, tag: '1' },
      destinations: [{ registry: destination.host, repository, tag: '1' }],
      platforms: noPlatforms,
      force: false,
      plannedAt: now,
      attempt: 0,
    };
    await ledger.startRun({ id: runId, trigger: 'test', startedAt: now, rules: 1 });
    await ledger.recordPage({ runId, ruleId: 'c0', after: '', planned: 1, unchanged: 0 });
    await ledger.park(parked.host, now + 3_600_000, 'too many requests');
    await host.send('Tasks/Queue', JSON.stringify(task), trace);
    await until(() => invocations(trace) > MOST_INVOCATIONS + 1);
    expect(parked.count('get manifest', 'head manifest')).toBe(0);
    host.advance(3_700_000);
    await until(() => destination.content.manifest(repository, '1')?.digest === digest);
    await host.settle();
    expect(host.queue('Tasks/DeadLetters').bodies()).toEqual([]);
  });
});
