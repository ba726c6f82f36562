import fc from 'fast-check';
import stringWidth from 'string-width';
import { describe, expect, it } from 'vitest';
import { renderError } from '../../cli/report/error.ts';
import { wantsColor } from '../../cli/view/color.ts';
import {
  describeFailure,
  formatBytes,
  formatCount,
  formatDuration,
  formatRemaining,
  plural,
} from '../../cli/view/format.ts';
import { clean, inAscii, speaksUtf8 } from '../../cli/view/text.ts';
import { clip, clipMiddle, wrap } from '../../cli/view/width.ts';
import { parseDuration } from '../../core/config/duration.ts';
import { configurationError } from '../../core/model/errors.ts';

describe('quantities', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 KiB'],
    [1023 * 1024, '1.0 MiB'],
    [28.13 * 1024 ** 2, '28.1 MiB'],
    [512 * 1024 ** 3, '512 GiB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [0, '0 s'],
    [449, '0.4 s'],
    [9960, '10 s'],
    [59_600, '1 min'],
    [185_000, '3 min 5 s'],
    [7_800_000, '2 h 10 min'],
    [273_600_000, '3 d 4 h'],
  ])('%d ms are %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('that are guesses are round', () => {
    expect([1, 12_345, 200_000, 7_700_000].map(formatRemaining)).toEqual(['5 s', '10 s', '3 min 30 s', '2 h 10 min']);
  });

  it('are counted in English', () => {
    expect([plural(1, 'tag'), plural(0, 'tag'), plural(1204, 'tag')]).toEqual(['1 tag', '0 tags', '1,204 tags']);
    expect(formatCount(1234567)).toBe('1,234,567');
  });

  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['500ms', 500],
    ['0', 0],
    ['0.5h', 1_800_000],
  ])('%s is a duration', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '5', 'h', '-1s', '1 s', '1y', '9999d', '1s2', '1h30'])('%j is no duration', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('text from outside', () => {
  it('cannot move the cursor, colour the screen, add lines or turn the reading direction', () => {
    expect(clean('a\x1b[2J\x1b]0;title\x07b\r\nc\u202ed\u009b31me')).toMatch(/^[abcde0-9m ]+$/);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        expect(clean(text)).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
      }),
    );
  });

  it('is shown as a failure with code and class, once where they are one word', () => {
    expect(describeFailure({ class: 'permanent', code: 'denied', message: 'no\x1b[31m way' })).toBe(
      'denied (permanent): no way',
    );
    expect(describeFailure({ class: 'throttled', code: 'throttled', message: 'wait' })).toBe('throttled: wait');
  });
});

describe('widths', () => {
  it.each([
    ['abc', 3],
    ['\x1b[31mabc\x1b[39m', 3],
    ['拒绝', 4],
    ['e\u0301', 1],
    ['👩‍👩‍👧', 2],
    ['━─…', 3],
  ])('%j', (text, width) => {
    expect(stringWidth(text)).toBe(width);
  });

  it('of what was cut are never more than asked for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(30), (text, columns) => {
        expect(stringWidth(clip(clean(text), columns))).toBeLessThanOrEqual(columns);
      }),
    );
    expect(clip('拒绝访问', 5)).toBe('拒绝…');
    expect(clipMiddle('some-organisation/repository', 15)).toBe('some…repository');
  });

  it('break lines between words only', () => {
    expect(wrap('one two a-very-long-word x', 8)).toEqual(['one two', 'a-very-long-word', 'x']);
  });
});

describe('a terminal that does not speak UTF-8', () => {
  it.each([
    [{}, true],
    [{ LANG: 'en_GB.UTF-8' }, true],
    [{ LANG: 'C.utf8' }, true],
    [{ LANG: 'C' }, false],
    [{ LANG: 'en_GB.UTF-8', LC_ALL: 'POSIX' }, false],
    [{ LANG: 'C', LC_CTYPE: 'en_GB.UTF-8', LC_ALL: '' }, true],
    [{ TERM: 'linux', LANG: 'en_GB.UTF-8' }, false],
  ])('is known by its locale: %j', (env, speaks) => {
    expect(speaksUtf8(env)).toBe(speaks);
  });

  it('gets ASCII, no wider than the text was', () => {
    expect(inAscii('━━── 41% a…b — 拒绝 e\u0301')).toBe('==-- 41% a.b - ?? e');
    // One syllable of two columns, written as its three letters.
    expect(inAscii('\u1112\u1175\u11c2')).toBe('?');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const plain = inAscii(clean(text));
        expect(plain).toMatch(/^[\x20-\x7e]*$/);
        expect(stringWidth(plain)).toBeLessThanOrEqual(stringWidth(clean(text)));
      }),
    );
  });
});

describe('an error that ends the command', () => {
  it('is its message and its mend, harmless line by line', () => {
    const error = configurationError('a.yaml:\n  b\x1b[2J is wrong', { mend: 'Write c.' });
    expect(renderError(error, false)).toBe('tranship: a.yaml:\n  b is wrong\nWrite c.\n');
  });

  it('has a stack trace only where it is asked for', () => {
    const defect = new TypeError('x is not a function');
    expect(renderError(defect, false)).toMatch(/^tranship: x is not a function\nThis is a defect/);
    expect(renderError(defect, false)).not.toContain('    at ');
    expect(renderError(defect, true)).toContain('    at ');
  });
});

describe('colours', () => {
  it.each([
    [{ noColor: false, env: {}, isTTY: true }, true],
    [{ noColor: false, env: {}, isTTY: false }, false],
    [{ noColor: false, env: { NO_COLOR: '1' }, isTTY: true }, false],
    [{ noColor: false, env: { NO_COLOR: '' }, isTTY: true }, true],
    [{ noColor: false, env: { FORCE_COLOR: '1' }, isTTY: false }, true],
    [{ noColor: false, env: { FORCE_COLOR: '0' }, isTTY: true }, false],
    [{ noColor: false, env: { FORCE_COLOR: '' }, isTTY: false }, false],
    [{ noColor: true, env: { FORCE_COLOR: '1' }, isTTY: true }, false],
    [{ noColor: false, env: { TERM: 'dumb' }, isTTY: true }, false],
  ])('%j', (source, wanted) => {
    expect(wantsColor(source)).toBe(wanted);
  });
});
