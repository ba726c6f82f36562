import type { Announcement } from '../../core/announce/announcement.ts';
import type { IntakeResult } from '../../core/announce/intake.ts';
import { createIntakeMemory } from '../../core/announce/intake-memory.ts';
import { createSenderKeys } from '../../core/announce/keys.ts';
import { indexRules } from '../../core/announce/match.ts';
import type { Sender } from '../../core/announce/sender.ts';
import { createGate } from '../../core/copy/gate.ts';
import type { Credentials } from '../../core/model/credentials.ts';
import type { NotifyTarget } from '../../core/model/notify-target.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { type CopySettings, type Machine, openMachine } from '../machine.ts';
import { createNotifier } from '../notify/notifier.ts';
import { machineHost } from '../ui/machine-host.ts';
import { openStatusPage, type StatusPageOptions } from '../ui/status-page.ts';
import { createTransfers } from '../ui/transfers.ts';
import { openWeb } from '../web.ts';
import { createByHand } from './by-hand.ts';
import { rulesToCatchUp } from './catch-up.ts';
import { steadyNow, watchClock } from './clock.ts';
import { type Delivery, openHookServer } from './hook-server.ts';
import { createInbox } from './inbox.ts';
import type { Address } from './listener.ts';
import { createPushLog } from './push-log.ts';
import { createPushRuns } from './push-runs.ts';
import { createQueueGauge } from './queue-gauge.ts';
import { createSchedules, type Scheduled } from './schedules.ts';
import { createTelemetry, type Telemetry } from './telemetry.ts';
import { pushTrigger, startTrigger } from './triggers.ts';
import { startUpkeep, type Upkeep } from './upkeep.ts';
import { createPromisedWork, type PromisedWork, type Workers } from './work.ts';

/** What the user's files say. It can be read again while the server runs. */
export interface ServeConfig {
  rules: readonly Rule[];
  credentials: Credentials;
  /** By name. */
  senders: ReadonlyMap<string, Sender>;
  scheduled: readonly Scheduled[];
  notify: readonly NotifyTarget[];
}

export interface ServerSettings {
  /** Of the program, for metrics. */
  version: string;
  /** The state directory. */
  directory: string;
  copying: Omit<CopySettings, 'credentials' | 'emit' | 'signal' | 'gate'>;
  limits: Workers['limits'];
  listen: Address;
  /** An address of their own for health, metrics and reload. */
  adminListen?: Address;
  /** Shows the status page at `adminListen` to those who have the token. */
  page?: Pick<StatusPageOptions, 'token' | 'hostNames' | 'directory'>;
  /** How long the events of one push are gathered, where they do not tell the digest. */
  gatherMs: number;
  /** Push events are refused while so many messages wait. */
  maxQueue: number;
  /** Pause before the second chance of a dead letter; 0 for none. */
  redriveAfterMs: number;
  /** Whether all rules are planned at the start; see {@link rulesToCatchUp}. */
  syncAtStart?: boolean;
  config: ServeConfig;
  /** Reads the user's files again. @throws TranshipError `configuration` */
  readConfig(): Promise<ServeConfig>;
}

export type ServerEvent =
  /** Of the process itself. */
  | { type: 'notice'; message: string }
  | { type: 'listening'; url: string; adminUrl?: string; senders: number; schedules: number }
  | { type: 'scheduled'; trigger: string; at: number }
  /** Of the work, of any run. */
  | { type: 'pipeline'; event: PipelineEvent }
  | { type: 'run-ended'; run: RunRecord }
  /** A sender posted something. */
  | { type: 'delivered'; delivery: Delivery }
  | { type: 'reloaded'; senders: number; schedules: number; rules: number }
  | { type: 'reload-failed'; error: unknown };

type Tell = (event: ServerEvent) => void;

export interface Server {
  /** Reads the user's files again. @throws what is wrong with them, which was told; the old ones hold on then */
  reload(): Promise<void>;
  /** Begins no more work. Push events are stored until the copies in hand have ended or the grace is over. */
  stop(): void;
  /** Resolves when it has stopped. Rejects with what kept it from starting or from going on. */
  ended: Promise<void>;
}

/** How long copies in hand may still take when the process is told to stop: less than `docker stop` waits. */
const GRACE_MS = 7_000;
/** What is being told of a run may still take this long then. */
const LAST_NOTICE_MS = 2_000;
/** A process that is told to stop needs less, so whoever replaces it need not fail. */
const REPLACE_WITHIN_MS = 10_000;
/** After push events could not be stored, `/readyz` says so for this long. */
const STORE_FAILURE_HOLDS_MS = 30_000;

/** Takes push events, runs schedules and gives second chances, until it is stopped. */
export function startServer(settings: ServerSettings, tell: Tell): Server {
  const stop = new AbortController();
  const live = liveConfig(settings.config);
  let reloading = Promise.resolve();
  let telemetry: Telemetry | undefined;

  async function readAgain(): Promise<void> {
    try {
      const config = await settings.readConfig();
      live.set(config);
      telemetry?.reloaded('done');
      const { rules, senders, scheduled } = config;
      tell({ type: 'reloaded', rules: rules.length, senders: senders.size, schedules: scheduled.length });
    } catch (error) {
      telemetry?.reloaded('failed');
      tell({ type: 'reload-failed', error });
      throw error;
    }
  }

  const reload = (): Promise<void> => {
    const next = reloading.then(readAgain);
    reloading = next.catch(() => {});
    return next;
  };
  const useTelemetry = (made: Telemetry): void => {
    telemetry = made;
  };
  const control = { stop, live, reload, useTelemetry };
  return { reload, stop: () => stop.abort(), ended: run(settings, control, tell) };
}

/** The user's files as they are now, for all who go by them. */
function liveConfig(first: ServeConfig) {
  let config = first;
  let index = indexRules(first.rules);
  const rules = new Map(first.rules.map((rule) => [rule.id, rule]));
  let changed = (): void => {};
  const credentials: Credentials = {
    lookup: (repository, options) => config.credentials.lookup(repository, options),
  };
  return {
    /** By id; the same map before and after a change. */
    rules,
    credentials,
    get: () => config,
    index: () => index,
    set(next: ServeConfig): void {
      config = next;
      index = indexRules(next.rules);
      rules.clear();
      for (const rule of next.rules) rules.set(rule.id, rule);
      changed();
    },
    onChange(callback: () => void): void {
      changed = callback;
    },
  };
}

interface Control {
  stop: AbortController;
  live: ReturnType<typeof liveConfig>;
  reload(): Promise<void>;
  useTelemetry(telemetry: Telemetry): void;
}

async function run(settings: ServerSettings, control: Control, tell: Tell): Promise<void> {
  const resources = new AsyncDisposableStack();
  try {
    await serve(settings, control, tell, resources);
  } finally {
    await resources.disposeAsync();
  }
}

/** @param resources what is to be closed at the end, however it ends */
async function serve(
  settings: ServerSettings,
  control: Control,
  tell: Tell,
  resources: AsyncDisposableStack,
): Promise<void> {
  const { directory } = settings;
  const { stop, live } = control;
  const abort = new AbortController();
  const emit = (event: PipelineEvent): void => tell({ type: 'pipeline', event });
  // Two of everything, workers, connections and blobs at once: pushed tags never wait behind a long run. It gives way
  // to them.
  const gate = createGate();
  const transfers = createTransfers(Date.now);
  const copying = () => ({
    ...settings.copying,
    credentials: live.credentials,
    emit: transfers.watch(emit),
    signal: abort.signal,
  });
  const open = (machine: Machine): Machine => resources.adopt(machine, ({ close }) => close());
  const pushMachine = open(openMachine(directory, copying()));
  const slowMachine = open(openMachine(directory, { ...copying(), gate }));
  const serving = await slowMachine.lockServing({
    patienceMs: REPLACE_WITHIN_MS,
    waits: () => tell({ type: 'notice', message: 'waits for the process that serves this state directory to end' }),
    signal: stop.signal,
  });
  if (serving === undefined) return;
  resources.defer(() => serving.release());
  slowMachine.clampWaits(settings.limits.maxWaitMs, Date.now());

  let failure: { error: unknown } | undefined;
  let upkeep: Upkeep | undefined;
  const queued = createQueueGauge(pushMachine.runOwners, () => pushWork.running());
  const telemetry = createTelemetry({
    version: settings.version,
    lastRuns: slowMachine.lastRuns(),
    read: {
      queued: queued.read,
      parks: () => slowMachine.ledger.parks(Date.now()),
      deadLetters: slowMachine.deadLetters.count,
      nextStarts: () => schedules.nextStarts(),
    },
  });
  telemetry.foresee(live.get());
  control.useTelemetry(telemetry);
  const warn = (message: string): void => emit({ type: 'warning', message });
  const web = openWeb(settings.copying.userAgent, warn);
  const notifier = createNotifier({ targets: () => live.get().notify, ledger: slowMachine.ledger, web, warn });
  const workersOf = (machine: Machine): Workers => ({
    machine,
    limits: settings.limits,
    rules: live.rules,
    emitFor: (trigger) => telemetry.counting(trigger, emit),
    runEnded(ended) {
      upkeep?.runEnded(ended.id);
      telemetry.runEnded(ended);
      notifier.runEnded(ended);
      tell({ type: 'run-ended', run: ended });
    },
    stop: stop.signal,
    failed(error) {
      failure ??= { error };
      stop.abort();
    },
  });
  const pushWork = createPromisedWork({ ...workersOf(pushMachine), gate });
  const slowWorkers = workersOf(slowMachine);
  const slowWork = createPromisedWork(slowWorkers);
  const schedules = createSchedules(slowWorkers, {
    skipped(trigger) {
      telemetry.skipped(trigger);
      emit({ type: 'warning', message: `${trigger}: a start was left out, the last run is still under way` });
    },
  });
  const byHand = createByHand(slowWorkers, schedules);
  const page =
    settings.page &&
    (await openStatusPage({
      ...settings.page,
      host: machineHost({
        version: settings.version,
        machine: slowMachine,
        rules: () => live.get().rules,
        nextStarts: schedules.nextStarts,
        transfers,
        byHand,
      }),
      now: Date.now,
    }));
  const pushLog = createPushLog(pushMachine.pushEvents);
  const memory = createIntakeMemory();
  const inbox = createInbox({
    rules: live.index,
    memory,
    gatherMs: settings.gatherMs,
    now: Date.now,
    run: createPushRuns(Date.now),
    store(pushRun, work) {
      pushMachine.runOwners.promise(pushRun, work);
      queued.add(work.reduce((sum, { tasks, plans }) => sum + tasks.length + plans.length, 0));
      pushWork.begin(pushRun.id, pushRun.trigger);
    },
  });
  const store = rememberFailures((announcements, settleMs) => inbox.put(announcements, settleMs));

  // Whatever happens from here on: no more is begun, and what is under way has ended before the machines are closed.
  resources.defer(async () => {
    stop.abort();
    abort.abort();
    await Promise.all([schedules.stop(), byHand.ended(), pushWork.ended(), slowWork.ended()]);
    await notifier.settled(LAST_NOTICE_MS);
    upkeep?.stop();
    pushLog.close();
  });
  upkeep = startUpkeep(slowMachine, slowWork, {
    redriveAfterMs: settings.redriveAfterMs,
    signal: stop.signal,
    failed: slowWorkers.failed,
  });
  const fullQueue = (): string | undefined =>
    queued.read() >= settings.maxQueue ? 'too many tags are waiting' : undefined;
  const server = await openHookServer({
    listen: settings.listen,
    adminListen: settings.adminListen,
    senders: () => live.get().senders,
    verify: { keys: createSenderKeys(web), now: Date.now },
    refusal: fullQueue,
    store: store.put,
    delivered(delivery) {
      telemetry.delivered(delivery);
      pushLog.delivered(delivery);
      tell({ type: 'delivered', delivery });
    },
    admin: {
      refusal: () => (stop.signal.aborted ? 'it is being stopped' : (fullQueue() ?? store.refusal())),
      metrics: telemetry.render,
      reload: control.reload,
    },
    page,
  });
  const { senders, scheduled } = live.get();
  const { url, adminUrl } = server;
  tell({ type: 'listening', url, adminUrl, senders: senders.size, schedules: scheduled.length });
  try {
    await goOn(pushMachine, { pushWork, slowWork }, tell);
    const useSchedules = (): void => {
      schedules.set(live.get().scheduled);
      for (const [trigger, at] of schedules.nextStarts()) tell({ type: 'scheduled', trigger, at });
    };
    useSchedules();
    live.onChange(() => {
      memory.clear();
      telemetry.foresee(live.get());
      if (!stop.signal.aborted) useSchedules();
    });
    const clock = watchClock((byMs) => {
      memory.clear();
      slowMachine.shiftWaits(byMs, Date.now());
      schedules.reset();
      const message = `the clock was set back by ${Math.round(byMs / 1000)} s: what waits for a time goes by the new one`;
      emit({ type: 'warning', message });
    });
    resources.defer(() => clock.stop());
    catchUp();
    await aborted(stop.signal);
    tell({ type: 'notice', message: 'stopping' });
    const late = setTimeout(() => abort.abort(), GRACE_MS);
    await Promise.all([schedules.stop(), byHand.ended(), pushWork.ended(), slowWork.ended()]);
    clearTimeout(late);
  } finally {
    page?.close();
    // The last thing to end: senders that never repeat an event find somebody until then.
    await server.close();
    inbox.flush();
  }
  if (failure !== undefined) throw failure.error;
  tell({ type: 'notice', message: 'stopped' });

  function catchUp(): void {
    const ruleIds = rulesToCatchUp(live.get().rules, live.get().senders, settings.syncAtStart).map(({ id }) => id);
    if (ruleIds.length > 0) schedules.runNow({ trigger: startTrigger, ruleIds });
  }
}

/** Goes on with the work that a process before this one promised. */
async function goOn(
  { runOwners, ledger }: Machine,
  { pushWork, slowWork }: { pushWork: PromisedWork; slowWork: PromisedWork },
  tell: Tell,
): Promise<void> {
  for (const runId of runOwners.takeOver(Date.now())) {
    const trigger = (await ledger.readRun(runId))?.trigger ?? pushTrigger;
    tell({ type: 'notice', message: `goes on with run ${runId} of a process that ended` });
    (trigger === pushTrigger ? pushWork : slowWork).begin(runId, trigger);
  }
}

type Store = (announcements: readonly Announcement[], settleMs: number) => Promise<IntakeResult[]>;

/** Remembers that storing failed, so that a load balancer or a person can see it before the next event comes. */
function rememberFailures(put: Store): { put: Store; refusal(): string | undefined } {
  let failedAt = Number.NEGATIVE_INFINITY;
  return {
    async put(announcements, settleMs) {
      try {
        const results = await put(announcements, settleMs);
        failedAt = Number.NEGATIVE_INFINITY;
        return results;
      } catch (error) {
        failedAt = steadyNow();
        throw error;
      }
    },
    refusal: () =>
      steadyNow() - failedAt < STORE_FAILURE_HOLDS_MS ? 'push events could not be stored a moment ago' : undefined,
  };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
