import { randomUUID } from 'node:crypto';
import type { Resolved } from './template.ts';

export interface Schedule {
  id: string;
  path: string;
  targetArn: string;
  deadLetterArn: string | undefined;
  /** Logical id of the role that it acts by. */
  role: string;
  /** The event or message of one firing. */
  input(): string;
}

/** Reads the schedules of EventBridge Scheduler that are enabled. */
export function readSchedules(template: Resolved): Schedule[] {
  const roles = new Map(
    template.ofType('AWS::IAM::Role').map(({ id }) => [template.resolve({ 'Fn::GetAtt': [id, 'Arn'] }), id]),
  );
  return template
    .ofType('AWS::Scheduler::Schedule')
    .filter(({ properties }) => properties.State !== 'DISABLED')
    .map(({ id, path, properties }) => {
      const target = properties.Target as {
        Arn: string;
        RoleArn: string;
        Input?: string;
        DeadLetterConfig?: { Arn: string };
      };
      const role = roles.get(target.RoleArn);
      if (role === undefined) throw new Error(`${id} has no role of the stack`);
      return {
        id,
        path,
        targetArn: target.Arn,
        deadLetterArn: target.DeadLetterConfig?.Arn,
        role,
        input: () => withContext(target.Input ?? '{}', id),
      };
    });
}

/** "Adding context attributes" in the guide of EventBridge Scheduler. */
function withContext(input: string, id: string): string {
  const context: Record<string, string> = {
    'schedule-arn': id,
    'scheduled-time': new Date().toISOString(),
    'execution-id': randomUUID(),
    'attempt-number': '1',
  };
  return input.replace(/<aws\.scheduler\.([a-z-]+)>/g, (text, name: string) => context[name] ?? text);
}
