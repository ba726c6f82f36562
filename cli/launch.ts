#!/usr/bin/env node
import module from 'node:module';

// Says so before an older Node stumbles over node:sqlite, which is what the import below begins with.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(`tranship needs Node 24 or newer; this is ${process.versions.node}\n`);
  process.exitCode = 2;
} else {
  module.enableCompileCache();
  await import('./main.ts');
}
