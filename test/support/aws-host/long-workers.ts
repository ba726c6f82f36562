import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { DeleteItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { startCloudFormation } from '../cloud-formation.ts';
import { type Ended, openWorkplace } from '../command.ts';
import type { AwsHost } from './host.ts';
import { region } from './template.ts';

/** A long worker that runs. */
export interface RunningWorker {
  child: ChildProcess;
  ended: Promise<Ended>;
}

export interface LongWorkers {
  /** The command `tranship worker --stack Tranship`, with the role of the stack's long worker. */
  startCommand(...args: string[]): RunningWorker;
  /** The code of the container's image, with the variables of the task definition. */
  startContainer(): RunningWorker;
  close(): Promise<void>;
}

/** Long workers of a deployed stack with `longWorker: 'fargate'`. All their calls are checked against their role. */
export async function openLongWorkers(host: AwsHost): Promise<LongWorkers> {
  const { container } = host;
  if (container === undefined) throw new Error('the stack has no container');
  const cloudFormation = await startCloudFormation(host.outputs());
  const place = openWorkplace();
  const children: ChildProcess[] = [];
  const env = {
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: container.role,
    AWS_SECRET_ACCESS_KEY: 'none',
    AWS_ENDPOINT_URL: host.endpoint,
    AWS_ENDPOINT_URL_CLOUDFORMATION: cloudFormation.endpoint,
  };
  function keep(worker: RunningWorker): RunningWorker {
    children.push(worker.child);
    return worker;
  }
  return {
    startCommand: (...args) => keep(place.start(['worker', '--stack', 'Tranship', ...args], env)),
    startContainer() {
      const child = spawn(process.execPath, ['index.mjs'], {
        cwd: container.folder,
        env: { ...container.environment, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const texts = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].setEncoding('utf8').on('data', (text: string) => {
          texts[name] += text;
        });
      }
      return keep({ child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, ...texts })) });
    },
    async close() {
      for (const child of children) child.kill('SIGKILL');
      await cloudFormation.close();
      place.remove();
    },
  };
}

/** What time does after a worker was killed: its leases end, and its messages come again. */
export async function outlive(host: AwsHost, queue: string): Promise<void> {
  const { client } = host.dynamo;
  const { Items = [] } = await client.send(new ScanCommand({ TableName: host.table }));
  for (const { pk, sk } of Items) {
    if (pk?.S?.startsWith('lease#') && sk !== undefined) {
      await client.send(new DeleteItemCommand({ TableName: host.table, Key: { pk, sk } }));
    }
  }
  await host.queue(queue).reveal();
}
