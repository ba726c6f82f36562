import { chmod, rm } from 'node:fs/promises';
import { build, type Plugin } from 'esbuild';

/**
 * `npm run build`: the command as users get it, a few files without dependencies. The launcher is apart so that it can look
 * at Node's version, and turn on the compile cache, before the rest is read.
 */
const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  legalComments: 'none',
  logLevel: 'warning',
} as const;
/**
 * undici without what is not used of it: fetch, caches, mocks, WebSocket. Its index loads all of that, a good part of the
 * command's start and half a megabyte (nodejs/undici has no exports that could be shaken). The first line is the index's own.
 */
const undiciParts = `
  Object.assign(require('undici/lib/dispatcher/dispatcher').prototype, require('undici/lib/api'));
  exports.Agent = require('undici/lib/dispatcher/agent');
  exports.errors = require('undici/lib/core/errors');
`;
const leanUndici: Plugin = {
  name: 'lean-undici',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'lean' }));
    onLoad({ filter: /.*/, namespace: 'lean' }, () => ({ contents: undiciParts, resolveDir: import.meta.dirname }));
  },
};
/** CommonJS packages inside an ES module still ask for `require`. */
const requireBanner = {
  js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
};

/**
 * Bundles the command, `main.mjs`, and the GitHub Action, `action.mjs`. Both load the other files of the directory when
 * a command needs them.
 */
export async function buildCommand(outdir: string): Promise<void> {
  await build({
    ...common,
    plugins: [leanUndici],
    entryPoints: { main: 'cli/main.ts', action: 'action/main.ts' },
    outdir,
    outExtension: { '.js': '.mjs' },
    // What only some commands need (AWS's clients) is a file of its own.
    splitting: true,
    minifySyntax: true,
    minifyWhitespace: true,
    banner: requireBanner,
  });
}

async function buildAll(): Promise<void> {
  await rm('dist', { recursive: true, force: true });
  await buildCommand('dist');
  await build({
    ...common,
    entryPoints: ['cli/launch.ts'],
    outfile: 'dist/tranship.mjs',
    plugins: [
      {
        name: 'built-main',
        setup: ({ onResolve }) =>
          onResolve({ filter: /^\.\/main\.ts$/ }, () => ({ path: './main.mjs', external: true })),
      },
    ],
  });
  // The construct, `tranship/infra`: Node runs no TypeScript below node_modules. The functions' sources ship as they are, and are
  // bundled when an app is synthesised.
  await build({
    ...common,
    entryPoints: ['infra/index.ts'],
    outfile: 'dist/infra.mjs',
    external: ['aws-cdk-lib', 'constructs', 'esbuild'],
    banner: requireBanner,
  });
  await chmod('dist/tranship.mjs', 0o755);
}

if (import.meta.main) await buildAll();
