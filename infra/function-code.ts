import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssetHashType, DockerImage } from 'aws-cdk-lib';
import { type AssetCode, Code } from 'aws-cdk-lib/aws-lambda';
import { buildSync } from 'esbuild';

export type FunctionName = 'planner' | 'copier' | 'redrive' | 'webhook';

const functionsFolder = fileURLToPath(new URL('../functions/', import.meta.url));

/**
 * Some packages in a bundle are CommonJS and call `require`. The alias keeps clear of their own names (esbuild #946).
 */
const BANNER =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

/**
 * The code of a function: its handler with all that it imports, the SDK too, in one ES module, and files beside it.
 * Made by esbuild in this process, so that neither Docker nor a network is needed.
 *
 * @param files texts by name
 */
export function functionCode(name: FunctionName, files: Record<string, string> = {}): AssetCode {
  const folder = join(functionsFolder, name);
  return Code.fromAsset(folder, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      // CDK wants an image to fall back to. It is never used: tryBundle throws or succeeds.
      image: DockerImage.fromRegistry('scratch'),
      local: {
        tryBundle(outputFolder) {
          bundle(join(folder, 'handler.ts'), outputFolder);
          for (const [file, text] of Object.entries(files)) writeFileSync(join(outputFolder, file), text);
          return true;
        },
      },
    },
  });
}

function bundle(entry: string, outputFolder: string): void {
  buildSync({
    entryPoints: [entry],
    outfile: join(outputFolder, 'index.mjs'),
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    minify: true,
    // Errors are told apart, and logged, by the names of their classes.
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    banner: { js: BANNER },
    logLevel: 'error',
  });
}
