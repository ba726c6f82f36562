import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tranship-consumer-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('is a package whose construct an app of its own can use', () => {
  mkdirSync(join(folder, 'node_modules'));
  for (const name of ['aws-cdk-lib', 'constructs', 'esbuild']) {
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
  symlinkSync(root, join(folder, 'node_modules', 'tranship'));
  writeFileSync(
    join(folder, 'rules.yaml'),
    'version: 1\nrules:\n  - from: docker.io/library/nginx\n    to: r.example/nginx\n',
  );
  writeFileSync(
    join(folder, 'app.mjs'),
    `import { App, Stack } from 'aws-cdk-lib';
     import { Tranship } from 'tranship/infra';
     const stack = new Stack(new App({ context: { 'aws:cdk:bundling-stacks': [] } }), 'Mine');
     new Tranship(stack, 'Mirror', { rulesFile: 'rules.yaml', copierConcurrency: 50 });
     const { Resources } = stack.node.root.synth().getStackByName('Mine').template;
     console.log(Object.values(Resources).filter(({ Type }) => Type === 'AWS::Lambda::EventSourceMapping').length);`,
  );
  const printed = execFileSync(process.execPath, ['app.mjs'], { cwd: folder, encoding: 'utf8' });
  expect(printed.trim()).toBe('2');
});
