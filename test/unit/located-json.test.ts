import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locateJson } from '../../core/config/located-json.ts';
import { parseLocated } from '../../core/config/parse-located.ts';
import { openFile, placeOf } from '../../core/config/problems.ts';

const limits = { maxDepth: 50, maxValues: 1000 };

/** A comment behind a text makes it YAML, and moves nothing. */
const asYaml = (text: string) => parseLocated(openFile('any.yaml'), `${text}\n# YAML`);

describe('a text in JSON', () => {
  it('is located as the parser for YAML locates it', () => {
    const values = fc
      .jsonValue({ stringUnit: 'binary' })
      .filter((value) => typeof value === 'object' && value !== null);
    fc.assert(
      fc.property(values, fc.constantFrom(undefined, 1, 2, '\t'), (value, blanks) => {
        const text = JSON.stringify(value, undefined, blanks);
        expect(locateJson(text, limits)).toEqual(asYaml(text));
      }),
    );
  });

  it('keeps scalars as they were written, with their places', () => {
    const text = '{\r\n  "tag": 1.10,\n\t"is": [true, null, "a\\u00e9\\n\\/"]\n}\n';
    const file = openFile('images.json');
    expect(parseLocated(file, text)).toEqual(asYaml(text));
    const entries = (locateJson(text, limits) as { entries: Map<string, { keyOffset: number; value: object }> })
      .entries;
    expect(entries.get('tag')?.value).toMatchObject({ kind: 'scalar', text: '1.10', value: 1.1 });
    expect(placeOf(file, entries.get('is')?.keyOffset ?? 0)).toEqual({ file: 'images.json', line: 3, column: 2 });
  });

  it('is left to the parser for YAML where that can tell what is wrong', () => {
    const nested = `${'['.repeat(60)}${']'.repeat(60)}`;
    const many = JSON.stringify(Array.from({ length: 2000 }, () => 1));
    for (const text of ['', 'null', '"word"', '{"a": 1,}', '{a: 1}', '{"a": 1, "a": 2}', nested, many]) {
      expect(locateJson(text, limits), text.slice(0, 20)).toBeUndefined();
    }
    const file = openFile('images.json');
    parseLocated(file, '{\n  "a": 1,\n  "a": 2\n}');
    expect(file.problems).toMatchObject([{ place: { line: 3 }, what: 'the key "a" is there already, on line 2' }]);
  });
});
