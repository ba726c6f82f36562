import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const program = fileURLToPath(new URL('../../demo/start.ts', import.meta.url));

it('npm start shows a sync, one with nothing to do, and a push', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], { timeout: 240_000 });
  expect(stdout).toContain('5 tags: 5 copied, 0 unchanged');
  expect(stdout).toContain('5 tags: 0 copied, 5 unchanged');
  expect(stdout).toMatch(/shop\/api:1\.3 was pushed, and was at its destination \d+ ms after/);
  expect(stderr).toMatch(/copied +127\.0\.0\.1:\d+\/shop\/api:1\.3 -> 127\.0\.0\.1:\d+\/mirror\/api:1\.3/);
});
