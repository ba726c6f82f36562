import { chmod, rm } from 'node:fs/promises';
import { build } from 'esbuild';

/**
 * `npm run build`: the command as users get it, two files without dependencies. The launcher is apart so that it can look
 * at Node's version, and turn on the compile cache, before the rest is read.
 */
await rm('dist', { recursive: true, force: true });
const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  legalComments: 'none',
  logLevel: 'warning',
} as const;
await build({
  ...common,
  entryPoints: ['cli/main.ts'],
  outfile: 'dist/main.mjs',
  minifySyntax: true,
  minifyWhitespace: true,
  // CommonJS packages inside an ES module still ask for `require`.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
await build({
  ...common,
  entryPoints: ['cli/launch.ts'],
  outfile: 'dist/tranship.mjs',
  plugins: [
    {
      name: 'built-main',
      setup: ({ onResolve }) => onResolve({ filter: /^\.\/main\.ts$/ }, () => ({ path: './main.mjs', external: true })),
    },
  ],
});
await chmod('dist/tranship.mjs', 0o755);
