#!/usr/bin/env node
import module from 'node:module';
import { cacheDirectory } from './cache-directory.ts';
import { runWithCode } from './code-cache.ts';

// Checked before the command is loaded: what it loads has no meaning to an older Node, and node:sqlite is not in it.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(`tranship needs Node 24 or newer; this is ${process.versions.node}\n`);
  process.exitCode = 2;
} else {
  // Loading takes a moment, in which a reload must not end the process. The files are read after it.
  if (process.argv.includes('serve')) process.on('SIGHUP', () => {});
  // Where the user names a directory in NODE_COMPILE_CACHE, it is on already.
  const own = module.getCompileCacheDir() === undefined ? cacheDirectory(process.env) : undefined;
  if (own !== undefined) module.enableCompileCache(own);
  const main = 'main.cjs';
  const cache = module.getCompileCacheDir();
  if (cache === undefined) module.createRequire(import.meta.url)(`./${main}`);
  else {
    // The first word or flag: --version must not leave its few functions to a sync.
    const [, command = 'sync'] = /^(?:--)?([a-z]+)(?:=|$)/.exec(process.argv[2] ?? '') ?? [];
    runWithCode({ directory: import.meta.dirname, main, cache, command });
  }
}
