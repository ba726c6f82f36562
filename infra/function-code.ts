import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { AssetHashType, AssetStaging, DockerImage } from 'aws-cdk-lib';
import { type AssetCode, Code } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';

export const functionNames = ['planner', 'copier', 'redrive', 'webhook'] as const;

export type FunctionName = (typeof functionNames)[number];
/** What is bundled: the functions, and the long worker, which is a container. */
export type BundleName = FunctionName | 'worker';

/** The package has the functions bundled and compressed, beside this module; the repository has their sources. */
const bundled = fileURLToPath(new URL('./functions/', import.meta.url));
/** In the repository. */
const WORKER_SOURCE = fileURLToPath(new URL('../functions/worker/', import.meta.url));

/**
 * The code of a function: its bundle, and files beside it.
 * @param files texts by name
 */
export function functionCode(name: FunctionName, files: Record<string, string> = {}): AssetCode {
  return Code.fromAsset(existsSync(bundled) ? bundled : import.meta.dirname, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      // CDK wants an image to fall back to. It is never used: tryBundle throws or succeeds.
      image: DockerImage.fromRegistry('scratch'),
      // CDK takes two assets of one app for one where path and options are equal, whatever tryBundle does.
      command: [name, createHash('sha256').update(JSON.stringify(files)).digest('hex')],
      local: {
        tryBundle(outputFolder) {
          putBundle(name, outputFolder);
          for (const [file, text] of Object.entries(files)) writeFileSync(join(outputFolder, file), text);
          return true;
        },
      },
    },
  });
}

/** A folder with the Dockerfile of the long worker and its bundle. */
export function workerImageFolder(scope: Construct): string {
  const folder = existsSync(bundled) ? join(bundled, 'worker') : WORKER_SOURCE;
  return new AssetStaging(scope, 'Code', {
    sourcePath: folder,
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: DockerImage.fromRegistry('scratch'),
      local: {
        tryBundle(outputFolder) {
          putBundle('worker', outputFolder);
          copyFileSync(join(folder, 'Dockerfile'), join(outputFolder, 'Dockerfile'));
          return true;
        },
      },
    },
  }).absoluteStagedPath;
}

function putBundle(name: BundleName, outputFolder: string): void {
  if (existsSync(bundled)) {
    writeFileSync(join(outputFolder, 'index.mjs'), gunzipSync(readFileSync(join(bundled, `${name}.mjs.gz`))));
    return;
  }
  // esbuild is there where the sources are.
  const { bundleFunction } = createRequire(import.meta.url)('./bundle.ts') as typeof import('./bundle.ts');
  bundleFunction(name, outputFolder);
}
