import { Stack } from 'aws-cdk-lib';
import type { Construct, IConstruct } from 'constructs';

/** By pipeline. */
const namespaces = new WeakMap<IConstruct, string>();

/**
 * Gives a pipeline its namespace of metrics, before it has parts: that of its stack, so that two stacks in one account
 * count apart. A second pipeline in one stack has its path behind it. Else the runs of one would keep the other's alarm
 * quiet.
 */
export function claimNamespace(pipeline: Construct): void {
  const stack = Stack.of(pipeline);
  const plain = `Tranship/${stack.stackName}`;
  const isTaken = stack.node.findAll().some((one) => namespaces.get(one) === plain);
  const path = pipeline.node.path.slice(stack.node.path.length + 1).replace(/[^\w./-]/g, '-');
  namespaces.set(pipeline, isTaken ? `${plain}/${path}` : plain);
}

/** The namespace of the pipeline that a construct is a part of. */
export function metricNamespace(part: Construct): string {
  const found = part.node.scopes.flatMap((scope) => namespaces.get(scope) ?? []).at(-1);
  if (found === undefined) throw new Error(`${part.node.path} is part of no pipeline`);
  return found;
}
