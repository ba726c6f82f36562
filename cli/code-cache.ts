import module from 'node:module';
import { join } from 'node:path';
import type { Script } from 'node:vm';
import { exitCodes } from './exit-codes.ts';

/** What a file of CommonJS may use. */
const HEAD = '(function (exports, require, module, __filename, __dirname) {';
const DAY_MS = 24 * 60 * 60_000;

/** Only files with a hash of their content in the name: V8 compares no more of a text than its length. */
const hashed = /^[\w-]+-[\w-]{8}\.cjs$/;

/**
 * Runs the built command: a file of CommonJS, and those beside it that it asks for, with the code that V8 made for the same
 * command in an earlier process. Node's own compile cache keeps what there is before a file is run, which is none of its
 * functions: to compile them at their first call is a fifth of a short run. This one is written when a command has ended.
 * It is renewed each day, since another run of a command may need other functions.
 *
 * @param cache where code is kept: a directory of this version of Node and this user
 * @param command code is kept for each apart
 */
export function runWithCode(options: { directory: string; main: string; cache: string; command: string }): void {
  const fs = process.getBuiltinModule('node:fs');
  const { Script, constants } = process.getBuiltinModule('node:vm');
  const files = new Map<string, { exports: unknown }>();
  const uncached: Array<{ script: Script; file: string }> = [];

  function load(name: string): unknown {
    const known = files.get(name);
    if (known !== undefined) return known.exports;
    const file = { exports: {} };
    files.set(name, file);
    const filename = join(options.directory, name);
    const require = module.createRequire(filename);
    try {
      compile(name, filename).runInThisContext()(
        file.exports,
        (wanted: string) => (wanted.startsWith('./') ? load(wanted.slice(2)) : require(wanted)),
        file,
        filename,
        options.directory,
      );
    } catch (error) {
      // The next one who asks for it gets the whole, or the reason again.
      files.delete(name);
      throw error;
    }
    return file.exports;
  }

  function compile(name: string, filename: string): Script {
    const kept = hashed.test(name) ? join(options.cache, `tranship-${options.command}-${name}`) : undefined;
    const script = new Script(`${HEAD}${fs.readFileSync(filename, 'utf8')}\n})`, {
      filename,
      columnOffset: -HEAD.length,
      cachedData: kept === undefined ? undefined : readCode(kept),
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    });
    if (kept !== undefined && script.cachedDataRejected !== false) uncached.push({ script, file: kept });
    return script;
  }

  function readCode(file: string): Buffer | undefined {
    try {
      if (Date.now() - fs.statSync(file).mtimeMs > DAY_MS) return undefined;
      return fs.readFileSync(file);
    } catch {
      return undefined;
    }
  }

  process.on('exit', (code) => {
    // It did not begin.
    if (code === exitCodes.usage) return;
    for (const { script, file } of uncached) {
      const unfinished = `${file}.${process.pid}`;
      try {
        fs.writeFileSync(unfinished, script.createCachedData());
        fs.renameSync(unfinished, file);
      } catch {
        // The next run compiles again.
        fs.rmSync(unfinished, { force: true });
      }
    }
  });
  load(options.main);
}
