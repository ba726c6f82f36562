import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import { openLedger } from '../../machine/state/ledger.ts';
import { openQueue } from '../../machine/state/queue.ts';
import { lockServing } from '../../machine/state/serving-lock.ts';
import { stateDirectory } from '../../machine/state/state-dir.ts';
import { countQueue, task, temporaryState } from '../support/state.ts';

const state = temporaryState();
afterEach(() => state.clean());

function errorOf(work: () => unknown): TranshipError {
  try {
    work();
  } catch (error) {
    if (error instanceof TranshipError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('stateDirectory', () => {
  const home = '/home/me';
  it.each([
    [{ flag: '/f', env: { TRANSHIP_STATE: '/t', XDG_STATE_HOME: '/x' } }, '/f'],
    [{ env: { TRANSHIP_STATE: '/t', XDG_STATE_HOME: '/x' } }, '/t'],
    [{ env: { TRANSHIP_STATE: '~/t' } }, '/home/me/t'],
    [{ env: { TRANSHIP_STATE: '', XDG_STATE_HOME: '/x' } }, '/x/tranship'],
    [{ env: { XDG_STATE_HOME: 'relative' } }, '/home/me/.local/state/tranship'],
    [{ env: {} }, '/home/me/.local/state/tranship'],
  ])('%j is %s', (source, expected) => {
    expect(stateDirectory({ home, ...source })).toBe(expected);
  });
});

describe('openDatabase', () => {
  it('says what keeps the directory from being made, at once', () => {
    expect(() => state.open('/proc/none/deep')).toThrow("mkdir '/proc/none'");
  });

  it('creates directory and files for the user alone', () => {
    const directory = join(state.directory(), 'deep', 'state');
    const database = state.open(directory);
    database.owner();
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    for (const file of readdirSync(directory).filter((name) => name.startsWith('state.db'))) {
      expect([file, statSync(join(directory, file)).mode & 0o077]).toEqual([file, 0]);
    }
    expect(statSync(join(directory, 'owners')).mode & 0o777).toBe(0o700);
  });

  it('finds again what was written before it was closed', async () => {
    const directory = state.directory();
    const first = state.open(directory);
    const record = {
      destination: { registry: 'r', repository: 'a', tag: 't' },
      source: { registry: 's', repository: 'a', tag: 't' },
      sourceDigest: 'sha256:1',
      destinationDigest: 'sha256:1',
      platforms: '',
      at: 1,
      how: 'copied' as const,
    };
    await openLedger(first).write(record);
    await openQueue(first).send([task('a')]);
    first.close();
    const second = state.open(directory);
    expect(await openLedger(second).read(record.destination)).toEqual(record);
    expect(countQueue(second, 'run-1')).toMatchObject({ visible: 1 });
  });

  it('refuses a database of a newer version and leaves it as it is', () => {
    const directory = state.directory();
    state.open(directory).close();
    const raw = new DatabaseSync(join(directory, 'state.db'));
    raw.exec('PRAGMA user_version = 1000');
    const error = errorOf(() => state.open(directory));
    expect(error).toMatchObject({ class: 'configuration', code: 'config-invalid' });
    expect(error.message).toContain(directory);
    expect(error.message).toContain('newer version');
    expect(error.mend).toContain('--state');
    expect(raw.prepare('PRAGMA user_version').get()).toMatchObject({ user_version: 1000 });
    raw.close();
  });

  it('names the file and the mend where it is not a database', () => {
    const directory = state.directory();
    writeFileSync(join(directory, 'state.db'), 'this is a text of somebody else\n'.repeat(100));
    const error = errorOf(() => state.open(directory));
    expect(error).toMatchObject({ class: 'configuration', place: { file: join(directory, 'state.db') } });
    expect(error.message).toContain('is not a database');
    expect(error.mend).toContain('Remove it');
  });

  it('names the file and the mend where the database is damaged', async () => {
    const directory = state.directory();
    const file = join(directory, 'state.db');
    const first = state.open(directory);
    await openQueue(first).send(Array.from({ length: 500 }, (_, n) => task(`t${n}`)));
    first.close();
    truncateSync(file, 8192);
    const error = errorOf(() => {
      const database = state.open(directory);
      database.all('SELECT * FROM queue');
      database.all('SELECT * FROM records');
    });
    expect(error).toMatchObject({ class: 'configuration', place: { file } });
    expect(error.message).toContain('is damaged');
    expect(error.mend).toContain('-wal');
  });

  it('says so where the directory cannot be made', () => {
    const file = join(state.directory(), 'file');
    writeFileSync(file, '');
    const error = errorOf(() => state.open(join(file, 'state')));
    expect(error).toMatchObject({ class: 'configuration' });
    expect(error.message).toContain(join(file, 'state'));
  });

  it('says so where the disk is full or read-only, and keeps what was there', async () => {
    const database = state.open(state.directory());
    const queue = openQueue(database);
    await queue.send([task('a')]);
    const pages = database.get<{ page_count: number }>('PRAGMA page_count')!.page_count;
    database.all(`PRAGMA max_page_count = ${pages}`);
    const many = Array.from({ length: 500 }, (_, n) => task(`t${n}`));
    await expect(queue.send(many)).rejects.toMatchObject({
      class: 'permanent',
      code: 'disk-failed',
      message: expect.stringContaining('disk is full'),
    });
    expect(countQueue(database, 'run-1')).toMatchObject({ visible: 1 });
    database.all('PRAGMA max_page_count = 1000000');
    database.all('PRAGMA query_only = 1');
    await expect(queue.send(many)).rejects.toMatchObject({
      class: 'configuration',
      message: expect.stringContaining('cannot be written'),
    });
  });

  it('waits for the disk in durable transactions only', () => {
    const database = state.open(state.directory());
    const level = () => database.get<{ synchronous: number }>('PRAGMA synchronous')!.synchronous;
    expect(database.transaction(level, { durable: true })).toBe(2);
    expect(database.transaction(level)).toBe(1);
    expect(() =>
      database.transaction(
        () => {
          throw new Error('stop');
        },
        { durable: true },
      ),
    ).toThrow('stop');
    expect(level()).toBe(1);
  });

  it('takes back all of a transaction that fails', () => {
    const database = state.open(state.directory());
    const park = () => database.run(`INSERT INTO parks (registry, until, reason) VALUES ('r', 1, 'x')`);
    expect(() =>
      database.transaction(() => {
        park();
        park();
      }),
    ).toThrow();
    expect(database.all('SELECT * FROM parks')).toEqual([]);
    expect(database.transaction(park)).toBe(1);
  });

  it('leaves no lock file behind', () => {
    const directory = state.directory();
    const database = state.open(directory);
    const lock = join(directory, 'owners', `${database.owner()}.lock`);
    expect(existsSync(lock)).toBe(true);
    database.close();
    expect(existsSync(lock)).toBe(false);
  });

  it('writes only the fields of a sync record', async () => {
    const directory = state.directory();
    const database = state.open(directory);
    const target = { registry: 'r', repository: 'a', tag: 't', password: 'hunter2' };
    await openLedger(database).write({
      destination: target,
      source: target,
      sourceDigest: 'sha256:1',
      destinationDigest: undefined,
      platforms: '',
      at: 1,
      how: 'empty',
    });
    database.close();
    const stored = readdirSync(directory)
      .filter((name) => name.startsWith('state.db'))
      .map((name) => readFileSync(join(directory, name), 'latin1'))
      .join('');
    expect(stored).not.toContain('hunter2');
  });
});

describe('lockServing', () => {
  it('gives a directory to one at a time, and says who else has it', async () => {
    const directory = state.directory();
    const [first, second] = [state.open(directory), state.open(directory)];
    const waits = vi.fn();
    const options = { patienceMs: 0, waits, signal: new AbortController().signal };
    const serving = await lockServing(first, options);
    expect(waits).not.toHaveBeenCalled();
    await expect(lockServing(second, options)).rejects.toMatchObject({
      class: 'permanent',
      message: `another tranship serve runs on the state directory ${directory}`,
      mend: expect.stringContaining('--state'),
    });
    expect(waits).toHaveBeenCalledTimes(1);
    expect(await lockServing(second, { ...options, patienceMs: 60_000, signal: AbortSignal.abort() })).toBeUndefined();
    serving?.release();
    const next = await lockServing(second, options);
    expect(next).toBeDefined();
    next?.release();
  });
});
