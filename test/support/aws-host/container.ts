import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Resolved, Template } from './template.ts';

/** The container of a template's one ECS task definition, as the host has it run: the code of its image as a process. */
export interface ContainerSpec {
  /** Logical id of its role. */
  role: string;
  folder: string;
  environment: Record<string, string>;
}

/** @param assets the folder that the paths of the assets start from */
export function readContainer(template: Template, resolved: Resolved, assets: string): ContainerSpec | undefined {
  const [found] = resolved.ofType('AWS::ECS::TaskDefinition');
  if (found === undefined) return undefined;
  const [container] = found.properties.ContainerDefinitions as Array<{
    Environment: Array<{ Name: string; Value: string }>;
  }>;
  const roleArn = template.Resources[found.id]?.Properties?.TaskRoleArn as { 'Fn::GetAtt': string[] } | undefined;
  const role = roleArn?.['Fn::GetAtt'][0] ?? '';
  const image = readdirSync(assets).find((name) => existsSync(join(assets, name, 'Dockerfile')));
  if (container === undefined || image === undefined) throw new Error('the task definition has no image of the stack');
  const environment = Object.fromEntries(container.Environment.map(({ Name, Value }) => [Name, Value]));
  return { role, folder: join(assets, image), environment };
}
