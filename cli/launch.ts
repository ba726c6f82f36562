#!/usr/bin/env node
import module from 'node:module';

// Checked before main.ts is loaded: what it loads has no meaning to an older Node, and node:sqlite is not in it.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(`tranship needs Node 24 or newer; this is ${process.versions.node}\n`);
  process.exitCode = 2;
} else {
  // Loading takes a moment, in which a reload must not end the process. The files are read after it.
  if (process.argv.includes('serve')) process.on('SIGHUP', () => {});
  module.enableCompileCache();
  await import('./main.ts');
}
