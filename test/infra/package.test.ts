import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

// What `npm install tranship` leaves: the files of the package, and no package besides.
describe('the package, installed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tranship-consumer-'));
  const installed = join(folder, 'node_modules', 'tranship');
  afterAll(() => rmSync(folder, { recursive: true }));

  beforeAll(() => {
    mkdirSync(installed, { recursive: true });
    for (const file of ['package.json', 'dist', 'schema'])
      cpSync(join(root, file), join(installed, file), { recursive: true });
    writeFileSync(
      join(folder, 'tranship.yaml'),
      'version: 1\nrules:\n  - from: localhost:1/nginx\n    to: localhost:1/mirror/nginx\n',
    );
  });

  const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });

  it('needs no other package to run the command', () => {
    expect(manifest.dependencies).toBeUndefined();
    const program = join(installed, manifest.bin.tranship);
    expect(run(program, 'version')).toBe(`tranship ${manifest.version}\n`);
    // It reads the file and asks the registry, which is not there.
    const { stdout, status } = spawnSync(process.execPath, [program, 'plan', '--state', 'state'], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 120_000,
    });
    expect({ stdout, status }).toEqual({ stdout: expect.stringContaining('ECONNREFUSED'), status: 1 });
  });

  it('loads what it can do without only when it is needed', () => {
    // After the last request, so that all is loaded that a run needs.
    const list = join(folder, 'list.cjs');
    writeFileSync(list, "process.on('exit', () => process.stderr.write(process.moduleLoadList.join('\\n')));");
    writeFileSync(join(folder, 'images.json'), '{ "localhost:1/nginx": "localhost:1/mirror/nginx" }');
    writeFileSync(join(folder, 'auth.json'), '{ "localhost:1": { "insecure": true } }');
    const files = ['--images', 'images.json', '--auth', 'auth.json'];
    const args = ['--require', list, join(installed, manifest.bin.tranship), 'plan', ...files];
    const { stdout, stderr } = spawnSync(process.execPath, [...args, '--state', 'state'], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 120_000,
    });
    expect(stdout).toContain('ECONNREFUSED');
    const loaded = stderr.split('\n').map((line) => line.replace('NativeModule ', ''));
    expect(loaded).toContain('net');
    const late = ['child_process', 'dns/promises', 'fs/promises', 'http', 'https', 'worker_threads', 'zlib'];
    expect(late.filter((name) => loaded.includes(name))).toEqual([]);
  });

  it('has the threads that move blobs', () => {
    expect(existsSync(join(installed, 'dist', 'thread.cjs'))).toBe(true);
  });

  it('has the status page, which weighs less than 150 kB on the wire', () => {
    const files = ['index.html', 'app.js', 'app.css', 'icon.svg'].map((name) => join(installed, 'dist', 'ui', name));
    const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
    expect(bytes).toBeLessThan(150_000);
  });

  it('has the licences of what is bundled', () => {
    const notices = readFileSync(join(installed, 'dist', 'THIRD-PARTY.txt'), 'utf8');
    for (const name of ['lru-cache', 'yaml', '@aws-sdk/client-sqs', 'preact', 'uplot'])
      expect(notices).toMatch(new RegExp(`^${name} \\d`, 'm'));
  });

  it('has a construct that an app of its own can use, with nothing but the CDK', () => {
    for (const name of ['aws-cdk-lib', 'constructs']) {
      symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
    }
    const rules = 'version: 1\nrules:\n  - from: localhost:1/redis\n    to: localhost:1/mirror/redis\n';
    writeFileSync(join(folder, 'other.yaml'), rules);
    writeFileSync(
      join(folder, 'app.mjs'),
      `import { App, Stack } from 'aws-cdk-lib';
       import { Tranship } from 'tranship/infra';
       const stack = new Stack(new App({ outdir: 'out' }), 'Mine');
       new Tranship(stack, 'Mirror', { rulesFile: 'tranship.yaml', copierConcurrency: 50 });
       new Tranship(stack, 'Other', { rulesFile: 'other.yaml', copierConcurrency: 50 });
       const { Resources } = stack.node.root.synth().getStackByName('Mine').template;
       console.log(Object.values(Resources).filter(({ Type }) => Type === 'AWS::Lambda::EventSourceMapping').length);`,
    );
    expect(run('app.mjs').trim()).toBe('4');
    const out = join(folder, 'out');
    const planners = readdirSync(out).filter((name) => existsSync(join(out, name, 'rules.json')));
    const texts = planners.map((name) => readFileSync(join(out, name, 'rules.json'), 'utf8'));
    expect(texts.map((text) => /nginx|redis/.exec(text)?.[0]).sort()).toEqual(['nginx', 'redis']);
    for (const name of planners) expect(existsSync(join(out, name, 'index.mjs'))).toBe(true);
  });
});
