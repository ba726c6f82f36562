import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cacheDirectory } from '../../cli/cache-directory.ts';

const uid = process.getuid?.() ?? 0;

describe('the directory for compiled code', () => {
  let base = '';
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'tranship-cache-test-'));
    vi.stubEnv('TMPDIR', join(base, 'tmp'));
    for (const name of ['tmp', 'home']) mkdirSync(join(base, name));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(base, { recursive: true });
  });
  const fallback = () => join(base, 'tmp', `tranship-cache-${uid}`);

  it("is the user's own, which others cannot write to", () => {
    const found = cacheDirectory({ HOME: join(base, 'home') });
    expect(found).toBe(join(base, 'home/.cache/tranship'));
    expect(statSync(found ?? '').mode & 0o777).toBe(0o700);
    expect(cacheDirectory({ HOME: join(base, 'home'), XDG_CACHE_HOME: join(base, 'xdg') })).toBe(
      join(base, 'xdg/tranship'),
    );
  });

  it('is one for temporary files where there is no home', () => {
    expect(cacheDirectory({})).toBe(fallback());
    expect(cacheDirectory({ HOME: 'relative' })).toBe(fallback());
    expect(cacheDirectory({ HOME: join(base, 'nonexistent') })).toBe(fallback());
    expect(existsSync(join(base, 'nonexistent'))).toBe(false);
    writeFileSync(join(base, 'file'), '');
    expect(cacheDirectory({ HOME: join(base, 'file') })).toBe(fallback());
  });

  it('is none that somebody else has made, can write to, or has linked', () => {
    mkdirSync(fallback());
    expect(cacheDirectory({}, uid + 1)).toBeUndefined();
    chmodSync(fallback(), 0o777);
    expect(cacheDirectory({})).toBeUndefined();
    rmSync(fallback(), { recursive: true });
    mkdirSync(join(base, 'elsewhere'), { mode: 0o700 });
    symlinkSync(join(base, 'elsewhere'), fallback());
    expect(cacheDirectory({})).toBeUndefined();
    expect(existsSync(join(base, `tmp/tranship-cache-${uid + 1}`))).toBe(true);
  });
});
