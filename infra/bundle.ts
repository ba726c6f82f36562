import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync, type OutputFile } from 'esbuild';
import type { BundleName } from './function-code.ts';

/**
 * Some packages in a bundle are CommonJS and call `require`. The alias keeps clear of their own names (esbuild #946).
 */
const BANNER =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

interface Bundle {
  code: Uint8Array;
  inputs: string[];
}

/** Each is made once: the stacks of an app differ in the files beside a bundle. */
const bundles = new Map<BundleName, Bundle>();

/**
 * Writes a function's handler, or the long worker's program, with all that it imports, the SDK too, as one ES module, `index.mjs`.
 * Made by esbuild in this process, so that neither Docker nor a network is needed.
 * @returns the files of the repository and of node_modules that are in it
 */
export function bundleFunction(name: BundleName, outputFolder: string): string[] {
  const bundle = bundles.get(name) ?? makeBundle(name);
  bundles.set(name, bundle);
  mkdirSync(outputFolder, { recursive: true });
  writeFileSync(join(outputFolder, 'index.mjs'), bundle.code);
  return bundle.inputs;
}

function makeBundle(name: BundleName): Bundle {
  const { metafile, outputFiles } = buildSync({
    entryPoints: [
      fileURLToPath(new URL(`../functions/${name}/${name === 'worker' ? 'main' : 'handler'}.ts`, import.meta.url)),
    ],
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    minify: true,
    // Errors are told apart, and logged, by the names of their classes.
    keepNames: true,
    metafile: true,
    banner: { js: BANNER },
    logLevel: 'error',
  });
  const [{ contents: code }] = outputFiles as [OutputFile];
  return { code, inputs: Object.keys(metafile.inputs) };
}
