import { createSenderKeys } from '../../core/announce/keys.ts';
import { createGate } from '../../core/copy/gate.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { openMachine } from '../../machine/machine.ts';
import { openEndpoint } from '../../machine/serve/endpoint.ts';
import { createInbox } from '../../machine/serve/inbox.ts';
import { createPushRuns } from '../../machine/serve/push-runs.ts';
import { createQueueGauge } from '../../machine/serve/queue-gauge.ts';
import { type Schedules, startSchedules } from '../../machine/serve/schedules.ts';
import { createTelemetry, pushTrigger } from '../../machine/serve/telemetry.ts';
import { startUpkeep, type Upkeep } from '../../machine/serve/upkeep.ts';
import { createPromisedWork, type Lane } from '../../machine/serve/work.ts';
import type { ServingLock } from '../../machine/state/serving-lock.ts';
import { type Flags, readAddress } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { copySettings, stateDirectoryOf } from '../hosts.ts';
import { readSettings } from '../inputs/serve-settings.ts';
import type { Shell } from '../shell.ts';
import { plural } from '../view/format.ts';
import { createServeLog } from '../view/serve-log.ts';
import { createTeller } from '../view/serve-teller.ts';

/** How long copies in hand may still take when the process is told to stop: less than `docker stop` waits. */
const GRACE_MS = 7_000;
/** A process that is told to stop needs less; whoever replaces it need not fail. */
const REPLACE_WITHIN_MS = 10_000;

/**
 * `tranship serve`: takes push events, runs schedules and gives second chances until it is told to stop; then it takes no
 * more, ends or puts back what is in hand, and exits with 0.
 */
export async function serve(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const { inputs, sources, scheduled } = await readSettings(flags, shell.env);
  const log = createServeLog(flags, shell);
  const stop = new AbortController();
  const abort = new AbortController();
  let failure: { error: unknown } | undefined;
  const stopped = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const unlisten = shell.onSignal(() => stop.abort(), ['SIGINT', 'SIGTERM']);

  // Two of everything, workers, connections and blobs at once: pushed tags never wait behind a long run. It gives way to them.
  const gate = createGate();
  const directory = stateDirectoryOf(flags);
  const copying = copySettings(flags, { credentials: inputs.credentials, emit: log.emit, signal: abort.signal });
  const pushMachine = openMachine(directory, copying);
  const slowMachine = openMachine(directory, { ...copying, gate });
  const { ledger, deadLetters, runOwners } = slowMachine;
  let serving: ServingLock | undefined;
  let upkeep: Upkeep | undefined;
  let schedules: Schedules | undefined;
  let parks: Array<{ registry: string; until: number }> = [];
  const teller = createTeller({ log, verbose: flags.verbose, now: Date.now });

  const queued = createQueueGauge(pushMachine.runOwners, () => pushWork.running());
  const telemetry = createTelemetry({
    queued: queued.read,
    parks: () => parks,
    deadLetters: deadLetters.count,
    nextStarts: () => schedules?.nextStarts() ?? [],
  });
  const laneOf = (machine: Lane['machine']): Lane => ({
    machine,
    limits: { proc: flags.proc, retries: flags.retries, maxWaitMs: flags.maxWaitMs },
    rules: new Map(inputs.rules.map((rule) => [rule.id, rule])),
    emitFor: (trigger) => telemetry.counting(trigger, log.emit),
    runEnded(run: RunRecord) {
      upkeep?.runEnded(run.id);
      telemetry.runEnded(run);
      // One of pushes is an hour's: it ends after each of them and begins again with the next.
      if (run.trigger !== pushTrigger) log.runEnded(run);
    },
    stop: stop.signal,
    failed(error) {
      failure ??= { error };
      stop.abort();
    },
  });
  const pushWork = createPromisedWork({ ...laneOf(pushMachine), gate });
  const slowLane = laneOf(slowMachine);
  const slowWork = createPromisedWork(slowLane);

  const inbox = createInbox({
    rules: inputs.rules,
    debounceMs: flags.debounceMs,
    now: Date.now,
    run: createPushRuns(Date.now),
    store(run, work) {
      pushMachine.runOwners.promise(run, work);
      queued.add(work.reduce((sum, { tasks, plans }) => sum + tasks.length + plans.length, 0));
      pushWork.begin(run.id, run.trigger);
    },
    told(delivery, announcement, fate) {
      telemetry.announced(delivery.source, fate);
      teller.announced(delivery, announcement, fate);
    },
  });

  try {
    for (const message of [...warnings, ...inputs.warnings]) log.emit({ type: 'warning', message });
    serving = await slowMachine.lockServing({
      patienceMs: REPLACE_WITHIN_MS,
      waits: () => log.say('waits for the process that serves this state directory to end'),
      signal: stop.signal,
    });
    if (serving === undefined) return exitCodes.inStep;
    const { redriveAfterMs } = flags;
    upkeep = startUpkeep(slowMachine, slowWork, { redriveAfterMs, signal: stop.signal, failed: slowLane.failed });
    const endpoint = await openEndpoint({
      listen: readAddress(flags.listen),
      sources,
      verify: { keys: createSenderKeys(), now: Date.now },
      refusal() {
        if (stop.signal.aborted) return 'it is being stopped';
        return queued.read() >= flags.maxQueue ? 'too many tags are waiting' : undefined;
      },
      store: (source, { announcements, settleMs }) => inbox.put({ source: source.name, announcements, settleMs }),
      answered(answer) {
        telemetry.answered(answer);
        teller.answered(answer);
      },
      async renderMetrics() {
        parks = await ledger.parks(Date.now());
        return telemetry.render();
      },
    });
    log.say(`listening on ${endpoint.url}, ${plural(sources.size, 'sender')}, ${plural(scheduled.length, 'schedule')}`);
    for (const runId of runOwners.takeOver(Date.now())) {
      const trigger = (await ledger.readRun(runId))?.trigger ?? pushTrigger;
      log.say(`goes on with run ${runId} of a process that ended`);
      (trigger === pushTrigger ? pushWork : slowWork).begin(runId, trigger);
    }
    schedules = startSchedules(slowLane, scheduled, {
      skipped(trigger) {
        telemetry.skipped(trigger);
        log.emit({ type: 'warning', message: `${trigger}: a start was left out, the last run is still under way` });
      },
    });
    for (const [trigger, at] of schedules.nextStarts()) log.say(`${trigger}: next at ${new Date(at).toISOString()}`);
    await stopped;
    log.say('stopping');
    await endpoint.close();
    inbox.flush();
    const late = setTimeout(() => abort.abort(), GRACE_MS);
    await Promise.all([schedules.stop(), pushWork.ended(), slowWork.ended()]);
    clearTimeout(late);
    if (failure !== undefined) throw failure.error;
    log.say('stopped');
    return exitCodes.inStep;
  } finally {
    stop.abort();
    abort.abort();
    unlisten();
    await Promise.all([schedules?.stop(), pushWork.ended(), slowWork.ended()]);
    upkeep?.stop();
    await pushMachine.close();
    await slowMachine.close();
    serving?.release();
  }
}
