import type { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import type { Count } from '../functions/aws/telemetry.ts';
import { metricNamespace } from './metric-namespace.ts';

/** The sum of a count over all functions, as telemetry.ts writes it. */
export function pipelineMetric(
  scope: Construct,
  metricName: Count,
  options: { period: Duration; label?: string },
): Metric {
  return new Metric({
    namespace: metricNamespace(scope),
    metricName,
    dimensionsMap: { service: 'tranship' },
    statistic: 'Sum',
    ...options,
  });
}
