import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from '../../../core/pipeline/ports/ledger.ts';
import type { Outcome, RunRecord } from '../../../core/pipeline/ports/runs.ts';
import { createLedger } from '../../../functions/aws/ledger.ts';
import type { TranshipProps } from '../../../infra/props.ts';
import { auditRun } from './audit.ts';
import { type AwsHost, type AwsHostOptions, startAwsHost } from './host.ts';
import { synthesise } from './stack.ts';
import type { Template } from './template.ts';
import type { Trace } from './trace.ts';

/** A rule from one repository to one or more others, with a schedule of its own. */
export interface DeployedRule {
  name: string;
  from: string;
  to: string[];
  tags?: { newest: number };
  require?: { key: string };
  delete?: 'mirror' | { max: string };
  pulls?: string;
}

export interface Deployment {
  host: AwsHost;
  /** The stack's table, read by the test. */
  ledger: Ledger;
  /** Fires the schedule of a rule. @returns the run's id */
  start(rule: string, trace?: Trace): Promise<string>;
  /** Whether the end of a run was announced. */
  hasEnded(runId: string): boolean;
  /** Waits for the announcement of a run's end. */
  ended(runId: string, timeoutMs?: number): Promise<RunRecord>;
  outcomes(runId: string): Promise<Outcome[]>;
  /** What is wrong with the counters of a run: see `auditRun`. */
  audit(runId: string, planned: number): Promise<string[]>;
  close(): Promise<void>;
}

/** Small numbers, so that what takes hours takes seconds. */
const props: Omit<TranshipProps, 'rulesFile'> = {
  copierConcurrency: 3,
  plannerConcurrency: 2,
  attempts: 2,
  backoffSeconds: 1,
  redrives: 1,
  redriveAfterMinutes: 0,
  email: 'somebody@example.com',
};

/**
 * Synthesises the stack for these rules, and deploys it to this machine.
 * @param options.edit changes the template first, where a setting of the stack would not go so far
 */
export async function deploy(
  rules: DeployedRule[],
  changes: Omit<TranshipProps, 'rulesFile'> = {},
  options: Pick<AwsHostOptions, 'longestWaitSeconds'> & { edit?: (template: Template) => void } = {},
): Promise<Deployment> {
  const text = JSON.stringify({ version: 1, rules });
  const schedules = rules.map(({ name }) => ({ name, expression: 'rate(1 day)', rules: [name] }));
  const synthesised = await synthesise(text, { ...props, schedules, ...changes });
  const { edit = () => {}, ...hostOptions } = options;
  edit(synthesised.template);
  const host = await startAwsHost({ ...synthesised, ...hostOptions });
  const ledger = createLedger({ client: host.dynamo.client, table: host.table });
  const announcements = (runId: string) =>
    host
      .events()
      .map(({ Detail }) => JSON.parse(Detail) as RunRecord)
      .filter(({ id }) => id === runId);

  async function outcomes(runId: string): Promise<Outcome[]> {
    const rows: Outcome[] = [];
    for await (const page of ledger.readOutcomes(runId)) rows.push(...page);
    return rows;
  }

  return {
    host,
    ledger,
    async start(rule, trace) {
      const answer = await host.fire(`Run-${rule}`, trace);
      if (!answer.ok) throw new Error(`${answer.type}: ${answer.message}`);
      return (JSON.parse(answer.payload) as { runId: string }).runId;
    },
    hasEnded: (runId) => announcements(runId).length > 0,
    async ended(runId, timeoutMs = 240_000) {
      const deadline = Date.now() + timeoutMs;
      while (announcements(runId).length === 0) {
        if (Date.now() > deadline) {
          const run = await ledger.readRun(runId);
          throw new Error(
            `run ${runId} has not ended after ${timeoutMs} ms: ${JSON.stringify(run)}\n${host.output('Copier/Function').slice(-3000)}`,
          );
        }
        await sleep(20);
      }
      return (await ledger.readRun(runId)) as RunRecord;
    },
    outcomes,
    audit: async (runId, planned) =>
      auditRun(await ledger.readRun(runId), await outcomes(runId), announcements(runId), planned),
    async close() {
      await host.close();
      await synthesised.remove();
    },
  };
}
