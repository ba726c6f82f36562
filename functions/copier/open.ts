import type { SQSClient } from '@aws-sdk/client-sqs';
import type { Repository } from '../../core/model/reference.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { createDynamoClient, createSqsClient } from '../aws/clients.ts';
import { ecrClient } from '../aws/ecr-clients.ts';
import { createEcrRepository } from '../aws/ecr-repositories.ts';
import { readEnvironment, readText } from '../aws/environment.ts';
import { createLedger } from '../aws/ledger.ts';
import { readPolicies } from '../aws/policies.ts';
import { createQueue } from '../aws/queue.ts';
import { openCopying, openLogins } from '../aws/registries.ts';
import { countUp, logger } from '../aws/telemetry.ts';
import { openChunking } from './chunking.ts';
import type { CopierDeps } from './copy.ts';

/**
 * What a copier works with, by the environment that the stack sets: of its function, and of the container of long workers.
 * The queue that its tasks come from is for the caller to name.
 */
export function openCopier(): { sqs: SQSClient; deps: Omit<CopierDeps, 'tasks'> } {
  const env = readEnvironment(['TRANSHIP_TABLE', 'TRANSHIP_DEAD_LETTER_QUEUE_URL', 'TRANSHIP_LONG_TASK_QUEUE_URL']);
  const sqs = createSqsClient();
  const ledger = createLedger({ client: createDynamoClient(), table: env.TRANSHIP_TABLE });
  const logins = openLogins();
  const deps = {
    copy: openCopying(ledger, logins),
    ledger,
    longTasks: createQueue<Task>({ client: sqs, url: env.TRANSHIP_LONG_TASK_QUEUE_URL }),
    deadLetters: createQueue<Task>({ client: sqs, url: env.TRANSHIP_DEAD_LETTER_QUEUE_URL }),
    policy: readPolicies().policy,
    chunking: openChunking(logins),
    createRepository:
      readText('TRANSHIP_CREATE_ECR_REPOSITORIES') === 'true'
        ? (repository: Repository) => createEcrRepository(ecrClient, repository)
        : async () => false,
    log: logger,
    count: countUp,
    now: Date.now,
  };
  return { sqs, deps };
}
