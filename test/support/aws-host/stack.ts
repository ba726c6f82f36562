import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import type { TranshipProps } from '../../../infra/props.ts';
import { TranshipStack } from '../../../infra/tranship-stack.ts';
import type { Template } from './template.ts';

export interface Synthesised {
  template: Template;
  /** Folder of template and assets. */
  assets: string;
  remove(): Promise<void>;
}

/** Synthesises the stack as `cdk synth` does, bundles and all, from a rules file of this text. */
export async function synthesise(rules: string, props: Omit<TranshipProps, 'rulesFile'> = {}): Promise<Synthesised> {
  const folder = await mkdtemp(join(tmpdir(), 'tranship-synth-'));
  const rulesFile = join(folder, 'tranship.yaml');
  await writeFile(rulesFile, rules);
  const outdir = join(folder, 'cdk.out');
  // The command line of CDK sets this too; resources are found by the paths of their constructs.
  const app = new App({ outdir, context: { 'aws:cdk:enable-path-metadata': true } });
  new TranshipStack(app, 'Tranship', { ...props, rulesFile });
  app.synth();
  return {
    template: JSON.parse(await readFile(join(outdir, 'Tranship.template.json'), 'utf8')) as Template,
    assets: outdir,
    remove: () => rm(folder, { recursive: true }),
  };
}
