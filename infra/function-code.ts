import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { AssetHashType, AssetStaging, DockerImage } from 'aws-cdk-lib';
import { type AssetCode, Code } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { BundleFiles } from './bundle.ts';

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
  const files = existsSync(bundled) ? unpack(name) : bundle(name);
  mkdirSync(outputFolder, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(outputFolder, file), text);
}

function unpack(name: BundleName): BundleFiles {
  return JSON.parse(gunzipSync(readFileSync(join(bundled, `${name}.json.gz`))).toString('utf8'));
}

/** Each is made once: the stacks of an app differ in the files beside a bundle. */
const bundles = new Map<BundleName, BundleFiles>();

/** In a process of its own, since the CDK does not wait for promises, and esbuild's plugins are made of them. */
function bundle(name: BundleName): BundleFiles {
  let files = bundles.get(name);
  if (files === undefined) {
    const program = fileURLToPath(new URL('./bundle.ts', import.meta.url));
    files = JSON.parse(
      execFileSync(process.execPath, [program, name], { maxBuffer: 64 * 1024 * 1024 }).toString('utf8'),
    );
    bundles.set(name, files as BundleFiles);
  }
  return files as BundleFiles;
}
