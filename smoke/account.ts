import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type CloudFormationClient,
  DeleteStackCommand,
  DescribeStacksCommand,
  waitUntilStackDeleteComplete,
} from '@aws-sdk/client-cloudformation';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  CreateRepositoryCommand,
  DeleteRepositoryCommand,
  DescribeImagesCommand,
  type ECRClient,
} from '@aws-sdk/client-ecr';
import { formatRepository, type Repository } from '../core/model/reference.ts';
import { createEcrCredentials } from '../functions/aws/ecr-credentials.ts';
import { createLedger } from '../functions/aws/ledger.ts';
import { pushImage } from '../testing/images.ts';
import type { Account } from './run-smoke.ts';

export interface AccountClients {
  ecr: ECRClient;
  cloudFormation: CloudFormationClient;
  dynamo: DynamoDBClient;
  /** Runs `cdk` with these arguments to its end; rejects where it fails. */
  cdk: (args: string[], signal: AbortSignal) => Promise<void>;
}

/** CloudFormation takes some minutes; a stack that is longer about it is told as left. */
const REMOVED_WITHIN_SECONDS = 20 * 60;

/** An AWS account, as the clients see it. */
export function openAccount({ ecr, cloudFormation, dynamo, cdk }: AccountClients): Account {
  const credentials = createEcrCredentials({ configured: { lookup: async () => undefined }, clientFor: () => ecr });
  return {
    async makeRepository(name) {
      const { repository } = await ecr.send(new CreateRepositoryCommand({ repositoryName: name }));
      const [registry = ''] = repository?.repositoryUri?.split('/') ?? [];
      return { registry, repository: name };
    },
    async push({ registry, repository }, tag) {
      const { username, password } = (await credentials.lookup({ registry, repository })) ?? {};
      const login = { ...(username && { username }), ...(password && { password }) };
      const target = { url: `https://${registry}`, repository, ...login };
      return (await pushImage(target, { seed: `${repository}:${tag}`, tag })).digest;
    },
    async digestAt({ repository }, tag) {
      const command = new DescribeImagesCommand({ repositoryName: repository, imageIds: [{ imageTag: tag }] });
      const found = await ecr.send(command).catch(unless('ImageNotFoundException'));
      return found?.imageDetails?.[0]?.imageDigest;
    },
    async deploy(name, from, to, signal) {
      const folder = await mkdtemp(join(tmpdir(), 'tranship-smoke-'));
      try {
        const rules = join(folder, 'rules.yaml');
        await writeFile(rules, rulesOf(from, to));
        await cdk(deployArguments(name, rules, join(folder, 'cdk.out')), signal);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
      const { Stacks } = await cloudFormation.send(new DescribeStacksCommand({ StackName: name }));
      const table = Stacks?.[0]?.Outputs?.find(({ OutputKey }) => OutputKey === 'LedgerTable')?.OutputValue;
      if (table === undefined) throw new Error(`the stack ${name} does not tell its table`);
      return { ledger: createLedger({ client: dynamo, table }) };
    },
    async removeStack(name) {
      // A stack that is not there is no error of DeleteStack, and is waited for without one.
      await cloudFormation.send(new DeleteStackCommand({ StackName: name }));
      const waiter = { client: cloudFormation, maxWaitTime: REMOVED_WITHIN_SECONDS };
      await waitUntilStackDeleteComplete(waiter, { StackName: name });
    },
    async removeRepository(name) {
      const command = new DeleteRepositoryCommand({ repositoryName: name, force: true });
      await ecr.send(command).catch(unless('RepositoryNotFoundException'));
    },
  };
}

/** For `catch`: undefined for the error of that name. */
function unless(name: string) {
  return (error: unknown): undefined => {
    if (!(error instanceof Error) || error.name !== name) throw error;
  };
}

export function rulesOf(from: Repository, to: Repository): string {
  const rule = { name: 'smoke', from: formatRepository(from), to: formatRepository(to) };
  return JSON.stringify({ version: 1, rules: [rule] });
}

/** The settings of a stack that is small, quick, and leaves nothing behind. */
export function deployArguments(name: string, rulesFile: string, output: string): string[] {
  const settings = {
    rules: rulesFile,
    schedules: JSON.stringify([{ name: 'each-minute', expression: 'rate(1 minute)' }]),
    flexibleWindowMinutes: 0,
    ecrEvents: true,
    deletionProtection: false,
    logRetentionDays: 1,
  };
  const context = Object.entries(settings).flatMap(([key, value]) => ['-c', `tranship:${key}=${value}`]);
  return ['deploy', name, '--require-approval', 'never', '--output', output, '-c', `stack=${name}`, ...context];
}

const root = fileURLToPath(new URL('../', import.meta.url));

/** Runs this checkout's `cdk`, with the profile and the region of this process. */
export const runCdk: AccountClients['cdk'] = (args, signal) =>
  new Promise((resolve, reject) => {
    const program = join(root, 'node_modules/aws-cdk/bin/cdk');
    const child = spawn(process.execPath, [program, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    // It is waited for: what it made after the removal of the stack would stay.
    const stop = () => void child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    child.on('error', reject);
    child.on('close', (code) => {
      signal.removeEventListener('abort', stop);
      if (code === 0) resolve();
      else reject(new Error(`cdk ended with ${code}`));
    });
  });
