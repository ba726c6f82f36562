import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import type { TranshipProps } from '../../infra/props.ts';
import { TranshipStack } from '../../infra/tranship-stack.ts';

/** For what the tests of one worker make; removed when it ends. */
const folder = mkdtempSync(join(tmpdir(), 'tranship-synth-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** An app that makes no bundles, which take a second each. */
export function newApp(context: Record<string, unknown> = {}): App {
  const outdir = mkdtempSync(join(folder, 'out-'));
  return new App({ outdir, context: { 'aws:cdk:bundling-stacks': [], ...context } });
}

/** A rules file of its own. @returns its path */
export function rulesFile(text: string): string {
  return fileOf('rules.yaml', text);
}

/** A webhooks file of its own. @returns its path */
export function webhooksFile(text: string): string {
  return fileOf('webhooks.yaml', text);
}

function fileOf(name: string, text: string): string {
  const file = join(mkdtempSync(join(folder, 'file-')), name);
  writeFileSync(file, text);
  return file;
}

export const oneRule =
  'version: 1\nrules:\n  - name: nginx\n    from: nginx\n    to: registry.example.com/mirror/nginx\n';

/** The template of a stack; `more` makes props that need a stack to live in. */
export function synthesise(
  props: Partial<TranshipProps> = {},
  more?: (scope: Stack) => Partial<TranshipProps>,
): Template {
  const app = newApp();
  const stack = new TranshipStack(app, 'Tranship', {
    rulesFile: rulesFile(oneRule),
    ...props,
    ...more?.(new Stack(app, 'Own')),
  });
  return Template.fromStack(stack);
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** The one resource of a type whose logical id matches. */
export function findResource(template: Template, type: string, id: RegExp): { [key: string]: Json } {
  const found = Object.entries(template.findResources(type)).filter(([name]) => id.test(name));
  if (found.length !== 1) throw new Error(`${found.length} resources of ${type} match ${id}`);
  return (found[0]![1] as { Properties: { [key: string]: Json } }).Properties;
}
