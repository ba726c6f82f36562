import { closeRegistryClient } from '../../core/registry/client.ts';
import { readEnvironment, readNumber } from '../aws/environment.ts';
import { logger, publishCounts } from '../aws/telemetry.ts';
import { openCopier } from '../copier/open.ts';
import { workOnLongTasks } from './work.ts';

/** The container of long workers: works by the environment of the stack until it is told to stop. */
const { TRANSHIP_LONG_TASK_QUEUE_URL: url } = readEnvironment(['TRANSHIP_LONG_TASK_QUEUE_URL']);
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
const { sqs, deps } = openCopier();
logger.info('takes long tasks');
await workOnLongTasks({
  sqs,
  url,
  deps,
  tasksAtOnce: readNumber('TRANSHIP_BLOBS_AT_ONCE', 4),
  signal: stop.signal,
  onEnd: publishCounts().after,
});
await closeRegistryClient(deps.copy.client);
