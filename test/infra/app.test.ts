import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { oneRule, rulesFile } from '../support/synth.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Runs the app as the CDK's command does, without an account, a region or a network. */
async function synth(context: Record<string, unknown>) {
  const outdir = mkdtempSync(join(tmpdir(), 'tranship-synth-'));
  const settings = { ...JSON.parse(readFileSync(join(root, 'cdk.json'), 'utf8')).context, ...context };
  const env = { PATH: process.env.PATH, CDK_OUTDIR: outdir, CDK_CONTEXT_JSON: JSON.stringify(settings) };
  const run = promisify(execFile)(process.execPath, ['infra/app.ts'], { cwd: root, env, timeout: 240_000 });
  return { outdir, ...(await run) };
}

describe('the app', () => {
  it('synthesises from a clean clone, bundles and rules included', async () => {
    const { outdir } = await synth({ stack: 'Mirror' });
    const template = JSON.parse(readFileSync(join(outdir, 'Mirror.template.json'), 'utf8'));
    const functions = Object.values<{ Type: string; Metadata: Record<string, string> }>(template.Resources).filter(
      ({ Type }) => Type === 'AWS::Lambda::Function',
    );
    const assets: Record<string, { source: { path: string } }> = JSON.parse(
      readFileSync(join(outdir, 'Mirror.assets.json'), 'utf8'),
    ).files;
    const folders = Object.values(assets)
      .map(({ source }) => source.path)
      .filter((path) => path.startsWith('asset.'));
    expect(folders).toHaveLength(functions.length);
    const rules = folders.flatMap((folder) => {
      expect(readFileSync(join(outdir, folder, 'index.mjs'), 'utf8')).toContain('handler');
      try {
        return [JSON.parse(readFileSync(join(outdir, folder, 'rules.json'), 'utf8'))];
      } catch {
        return [];
      }
    });
    expect(rules.map((set) => set.rules.length)).toEqual([5]);
  });

  it('ends with the words of the command where the rules file is wrong', async () => {
    const file = rulesFile(oneRule.replace('from:', 'form:'));
    const failed = await synth({ 'tranship:rules': file }).catch((error: { code: number; stderr: string }) => error);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining(`${file}:4:5`) });
    expect(failed.stderr).not.toContain('    at ');
  });

  it.each([
    { 'tranship:attempts': '0' },
    { 'tranship:schedules': [{ name: 'nightly', expression: '0 3 * * *' }] },
    { stack: 'my_stack' },
  ])('ends with a sentence, and no trace, for the setting %j', async (context) => {
    const failed = await synth(context).catch((error: { code: number; stderr: string }) => error);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(/^[^\n]+\n$/) });
  });
});
