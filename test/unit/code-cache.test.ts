import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const source = pathToFileURL(fileURLToPath(new URL('../../cli/code-cache.ts', import.meta.url))).href;

describe('the code of the built command', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tranship-code-'));
    writeFileSync(
      join(directory, 'main.cjs'),
      `process.exitCode = require('./part-abcdefgh.cjs').end(process.argv[1]);`,
    );
    writeFileSync(
      join(directory, 'part-abcdefgh.cjs'),
      `exports.end = (code) => { console.log(require('node:path').basename(__filename)); return Number(code); };`,
    );
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function run(code = 0): void {
    const options = JSON.stringify({ directory, main: 'main.cjs', cache: directory, command: 'sync' });
    const script = `import { runWithCode } from ${JSON.stringify(source)}; runWithCode(${options});`;
    const args = ['--input-type=module', '--eval', script, String(code)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
    expect({ status, stdout, stderr }).toEqual({ status: code, stdout: 'part-abcdefgh.cjs\n', stderr: '' });
  }
  const kept = () => readdirSync(directory).filter((name) => name.startsWith('tranship-'));
  const file = () => join(directory, 'tranship-sync-part-abcdefgh.cjs');
  const inode = () => statSync(file()).ino;

  it('is kept for files with a hash in their name, and used again', () => {
    run();
    expect(kept()).toEqual(['tranship-sync-part-abcdefgh.cjs']);
    const first = inode();
    run(1);
    expect(inode()).toBe(first);
  });

  it('is not kept where a command did not begin', () => {
    run(2);
    expect(kept()).toEqual([]);
  });

  it('is read again where a file could not be loaded', () => {
    writeFileSync(
      join(directory, 'main.cjs'),
      `const fs = require('node:fs');
       fs.renameSync(__dirname + '/part-abcdefgh.cjs', __dirname + '/away');
       try { require('./part-abcdefgh.cjs'); } catch { fs.renameSync(__dirname + '/away', __dirname + '/part-abcdefgh.cjs'); }
       process.exitCode = require('./part-abcdefgh.cjs').end(process.argv[1]);`,
    );
    run();
  });

  it('is made anew where it cannot be used, or is older than a day', () => {
    writeFileSync(file(), 'not code');
    run();
    const second = statSync(file());
    expect(second.size).toBeGreaterThan(100);
    const old = Date.now() / 1000 - 25 * 60 * 60;
    utimesSync(file(), old, old);
    run();
    expect(statSync(file()).mtimeMs / 1000).toBeGreaterThan(old + 60);
  });
});
