import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import type { BundleName } from './function-code.ts';

/** A program with all that it imports: texts by file name, of which `index.mjs` comes first. */
export type BundleFiles = Record<string, string>;

/**
 * Node's own modules, without their form as ES modules. That has all exports as values, and to have them reads those that
 * load much more when they are read: `node:http` all of `fetch`, `node:dns` the settings of resolvers. For the same reason
 * esbuild gets an object that has them all from its prototype, and none to copy.
 */
const leanBuiltins: Plugin = {
  name: 'lean-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: 'builtin' }));
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `const builtin = process.getBuiltinModule(${JSON.stringify(path)});
        module.exports = typeof builtin === 'function' || builtin === process ? builtin : Object.create(builtin);`,
    }));
  },
};

/**
 * Some packages in a bundle are CommonJS and call `require`. The alias keeps clear of their own names (esbuild #946).
 */
const BANNER =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

/** What Lambda gives a function is in its environment. The SDK's chain of places to look, with sign-on and STS, stays out. */
const roleCredentials = {
  '@aws-sdk/credential-provider-node': fileURLToPath(new URL('../functions/aws/role-credentials.ts', import.meta.url)),
};

/**
 * Bundles a function's handler, or the long worker's program, the SDK too, into ES modules: `index.mjs`, and what is loaded
 * when it is needed. By esbuild, so that neither Docker nor a network is needed.
 * @returns `inputs`: the files of the repository and of node_modules that are in it
 */
export async function makeBundle(name: BundleName): Promise<{ files: BundleFiles; inputs: string[] }> {
  const isWorker = name === 'worker';
  const entry = `../functions/${name}/${isWorker ? 'main' : 'handler'}.ts`;
  const { metafile, outputFiles } = await build({
    entryPoints: { index: fileURLToPath(new URL(entry, import.meta.url)) },
    outdir: 'bundle',
    outExtension: { '.js': '.mjs' },
    write: false,
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    // Stack traces, and logs of errors, show names; to set shortened ones right costs more than it saves.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    plugins: [leanBuiltins],
    alias: isWorker ? {} : roleCredentials,
    metafile: true,
    banner: { js: BANNER },
    logLevel: 'error',
  });
  const files = Object.fromEntries(outputFiles.map(({ path, text }) => [basename(path), text]));
  return { files, inputs: Object.keys(metafile.inputs) };
}

if (import.meta.main) process.stdout.write(JSON.stringify((await makeBundle(process.argv[2] as BundleName)).files));
