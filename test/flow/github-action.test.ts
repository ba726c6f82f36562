import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { openWorkplace, program, type Workplace } from '../support/command.ts';

const action = parse(readFileSync(new URL('../../action.yml', import.meta.url), 'utf8'));

/**
 * A step of a workflow as the runner makes it: inputs with their defaults as variables, files for summary and outputs.
 * @see https://docs.github.com/actions/reference/metadata-syntax-for-github-actions#inputs
 * @see https://docs.github.com/actions/reference/workflow-commands-for-github-actions
 */
async function runStep(place: Workplace, inputs: Record<string, unknown>) {
  const defaults = Object.entries(action.inputs as Record<string, { default?: string }>).map(
    ([name, { default: value = '' }]) => [name, value] as const,
  );
  const given = { ...Object.fromEntries(defaults), ...inputs };
  const child = spawn(process.execPath, [join(dirname(program), 'action.cjs')], {
    cwd: place.directory,
    env: {
      PATH: process.env.PATH,
      HOME: place.directory,
      CI: 'true',
      GITHUB_STEP_SUMMARY: place.write('summary.md', ''),
      GITHUB_OUTPUT: place.write('output.txt', ''),
      ...Object.fromEntries(
        Object.entries(given).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, String(value)]),
      ),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 240_000,
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const [code] = await once(child, 'close');
  const read = (name: string) => readFileSync(join(place.directory, name), 'utf8');
  const outputs = Object.fromEntries(
    [...read('output.txt').matchAll(/^(\S+)<<(\S+)\n([\s\S]*?)\n\2\n/gm)].map(([, name, , value]) => [name, value]),
  );
  return { code, stdout, summary: read('summary.md'), outputs };
}

describe('the action in a workflow', () => {
  let registry: EmbeddedRegistry;
  let place: Workplace;

  beforeAll(async () => {
    registry = await startRegistry();
    for (const tag of ['1.0', '1.1'])
      await pushImage({ url: registry.url, repository: 'team/app' }, { seed: tag, tag });
  });
  afterAll(() => registry.close());
  beforeEach(() => {
    place = openWorkplace([registry.host]);
    return () => place.remove();
  });

  it('copies by the step of the example, remembers it, and tells of the run', async () => {
    place.write(
      'tranship.yaml',
      `version: 1\nrules:\n  - from: ${registry.host}/team/app\n    to: ${registry.host}/a/app\n`,
    );
    const example = parse(readFileSync(new URL('../../examples/github-workflow.yml', import.meta.url), 'utf8'));
    const step = example.jobs.sync.steps.find(({ id }: { id?: string }) => id === 'tranship');
    const first = await runStep(place, step.with);
    expect(first.code).toBe(0);
    expect(registry.content.tags('a/app')).toEqual(['1.0', '1.1']);
    expect(first.summary).toContain('2 copied, 0 unchanged');
    expect(JSON.parse(first.outputs.run ?? '')).toMatchObject({ type: 'run', state: 'done', copied: 2 });
    expect(JSON.parse(first.outputs.copied ?? '')).toHaveLength(2);
    expect((await runStep(place, step.with)).summary).toContain('0 copied, 2 unchanged');
  });

  it('fails with what failed: in the summary, at the line of the rule, in the outputs', async () => {
    place.write(
      'images.yaml',
      `# two rules\n${registry.host}/team/app:1.0: ${registry.host}/b/app\n${registry.host}/team/app:9: ${registry.host}/b/app\n`,
    );
    const { code, stdout, summary, outputs } = await runStep(place, {});
    expect(code).toBe(1);
    expect(outputs['exit-code']).toBe('1');
    expect(JSON.parse(outputs.failed ?? '')).toMatchObject([{ result: 'failed', failure: { code: 'not-found' } }]);
    expect(summary).toContain('**1 failed**');
    const [, begin = ''] = /^::stop-commands::(\S+)$/m.exec(stdout) ?? [];
    const [printed = '', after = ''] = stdout.split(`::${begin}::\n`);
    expect(printed).toContain('the registry does not have it');
    expect(after).toMatch(/^::error file=images\.yaml,line=3,title=[^\n]+::1 tag failed: not-found[^\n]+\n$/);
  });

  it('shows what plan prints, and a file that cannot be read at its line', async () => {
    place.write('images.yaml', `${registry.host}/team/app: ${registry.host}/c/app\n`);
    const { code, summary } = await runStep(place, { command: 'plan' });
    expect(code).toBe(0);
    expect(summary).toMatch(/^### tranship plan\n\n```text\n[\s\S]*2 tags to copy/);
    expect(registry.content.tags('c/app')).toEqual([]);
    place.write('images.yaml', `${registry.host}/team/app: UPPER/app\n`);
    const wrong = await runStep(place, {});
    expect(wrong.code).toBe(2);
    expect(wrong.outputs['exit-code']).toBe('2');
    expect(wrong.summary).toContain('UPPER/app');
    expect(wrong.stdout).toMatch(/^::error file=images\.yaml,line=1,col=\d+,title=tranship::[^\n]+UPPER[^\n]+$/m);
  });
});
