import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { errorCodes } from '../../../core/model/errors.ts';

it('has the mends of docs/errors.md, of each code', async () => {
  const text = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  const rows = text.slice(text.indexOf('| code |')).matchAll(/^\| `(.+?)` \| (.+) \| (.+) \|$/gm);
  const plain = (cell = '') => cell.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  const table = [...rows].map(([, code = '', what, mend]) => [code, { what: plain(what), mend: plain(mend) }]);
  expect(table.map(([code]) => code)).toEqual([...errorCodes].sort());
  const json = `${JSON.stringify(Object.fromEntries(table), undefined, 2)}\n`;
  // Where docs/errors.md has changed: npm run schema
  await expect(json).toMatchFileSnapshot('../../../core/status/mends.json');
});
