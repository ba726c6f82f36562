import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';

/**
 * Log and metrics of a function. Both go to its standard output: as JSON lines and in CloudWatch's embedded metric format.
 * The run's id is the correlation id of all its lines.
 */
export const logger = new Logger();
/**
 * One dimension with one value for all functions: CloudWatch bills each metric by its name and dimensions, and alarms
 * watch each once.
 */
const metrics = new Metrics({ serviceName: 'tranship' });

export type Log = Pick<Logger, 'info' | 'warn' | 'error'>;

/** The metrics. docs/aws.md lists them; all else is in the log. */
export type Count =
  | 'InStep'
  | 'TasksSent'
  | 'Copied'
  | 'Failed'
  | 'BytesCopied'
  | 'Retried'
  | 'HandedOver'
  | 'TooLong'
  | 'Parked'
  | 'SetAside'
  | 'RulesFailed'
  | 'Redriven'
  | 'Dropped'
  | 'Unreadable'
  | 'Announced'
  | 'Unmatched'
  | 'Refused';

export type CountUp = (name: Count, value?: number) => void;

export const countUp: CountUp = (name, value = 1) => {
  if (value > 0) metrics.addMetric(name, name === 'BytesCopied' ? MetricUnit.Bytes : MetricUnit.Count, value);
};

/** For middy: writes the counts when the invocation is over, failed or not; nothing if nothing was counted. */
export function publishCounts() {
  const publish = () => {
    if (metrics.hasStoredMetrics()) metrics.publishStoredMetrics();
  };
  return { after: publish, onError: publish };
}

/** Logs and counts what happens in the pipeline. Progress of single blobs is left to terminals. */
export const emit: Emit = (event) => {
  switch (event.type) {
    case 'rule-planned':
      countUp('InStep', event.unchanged);
      countUp('TasksSent', event.tasks);
      logger.info('page planned', { ...event });
      return;
    case 'task-finished':
      for (const outcome of event.outcomes) countOutcome(outcome);
      return;
    case 'parked':
      countUp('Parked');
      logger.warn('registry parked', { ...event });
      return;
    case 'warning':
      logger.warn(event.message);
  }
};

function countOutcome(outcome: Outcome): void {
  const { source, destination, result, bytes, mounted, present, failure } = outcome;
  if (result === 'copied' || result === 'unchanged') countUp('InStep');
  if (result === 'copied') countUp('Copied');
  if (result === 'failed') countUp('Failed');
  countUp('BytesCopied', bytes);
  logger[result === 'failed' ? 'error' : 'info'](`tag ${result}`, {
    source,
    destination,
    bytes,
    mounted,
    present,
    failure,
  });
}
