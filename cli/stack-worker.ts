import type { CopyContext } from '../core/copy/context.ts';
import type { Credentials } from '../core/model/credentials.ts';
import { configurationError } from '../core/model/errors.ts';
import type { Repository } from '../core/model/reference.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import type { Task } from '../core/pipeline/ports/queue.ts';
import { cloudPolicy } from '../core/pipeline/try-policy.ts';
import { closeRegistryClient } from '../core/registry/client.ts';
import { createDynamoClient, createSecretsClient, createSqsClient } from '../functions/aws/clients.ts';
import { createSecretCredentials } from '../functions/aws/credentials.ts';
import { ecrClient } from '../functions/aws/ecr-clients.ts';
import { createEcrCredentials } from '../functions/aws/ecr-credentials.ts';
import { createEcrRepository } from '../functions/aws/ecr-repositories.ts';
import { readList } from '../functions/aws/environment.ts';
import { createLedger } from '../functions/aws/ledger.ts';
import { createQueue } from '../functions/aws/queue.ts';
import type { Log } from '../functions/aws/telemetry.ts';
import { openChunking } from '../functions/copier/chunking.ts';
import { parseWorkerSettings } from '../functions/worker/settings.ts';
import { workOnLongTasks } from '../functions/worker/work.ts';
import { readOutputs } from './stack.ts';

export interface StackWorkerOptions {
  stack: string;
  tasksAtOnce: number;
  /** Makes what copies share, with these logins and the realms that the stack allows. */
  openCopying: (settings: { credentials: Credentials; allowedRealms: string[] }, ledger: Ledger) => CopyContext;
  log: Log;
  warn: (message: string) => void;
  signal: AbortSignal;
  onStart: () => void;
}

/**
 * Works on the long tasks of a stack, by its settings and with its logins, until it is told to stop.
 * @throws TranshipError `configuration` where there is no such stack, or it is of another version
 */
export async function workForStack(options: StackWorkerOptions): Promise<void> {
  const { stack, tasksAtOnce, log, warn, signal } = options;
  const names = ['LedgerTable', 'LoginSecrets', 'LongTaskQueueUrl', 'DeadLetterQueueUrl', 'WorkerSettings'] as const;
  const mend = 'Deploy it with this version.';
  const outputs = await readOutputs(stack, names, mend, ['AllowedRealms']);
  const settings = parseWorkerSettings(outputs.WorkerSettings);
  if (settings === undefined) throw configurationError(`the settings of the stack ${stack} cannot be read`, { mend });
  const sqs = createSqsClient();
  const ledger = createLedger({ client: createDynamoClient(), table: outputs.LedgerTable });
  const secretIds = readList(outputs.LoginSecrets);
  const logins = createSecretCredentials({ client: createSecretsClient(), secretIds, warn });
  const credentials = createEcrCredentials({ configured: logins, clientFor: ecrClient });
  const copy = options.openCopying({ credentials, allowedRealms: readList(outputs.AllowedRealms ?? '') }, ledger);
  const { attempts: tries, backoffSeconds, createEcrRepositories } = settings;
  options.onStart();
  try {
    await workOnLongTasks({
      sqs,
      url: outputs.LongTaskQueueUrl,
      tasksAtOnce,
      signal,
      deps: {
        copy,
        ledger,
        longTasks: createQueue<Task>({ client: sqs, url: outputs.LongTaskQueueUrl }),
        deadLetters: createQueue<Task>({ client: sqs, url: outputs.DeadLetterQueueUrl }),
        policy: cloudPolicy({ tries, backoffMs: backoffSeconds * 1000 }),
        chunking: openChunking(logins),
        createRepository: async (repository: Repository) =>
          createEcrRepositories && createEcrRepository(ecrClient, repository),
        log,
        count: () => {},
        now: Date.now,
      },
    });
  } finally {
    await closeRegistryClient(copy.client);
  }
}
