import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { splitPem } from '../../core/registry/wire/trust.ts';
import { certsDirectories, readRegistryTrust } from '../../machine/trust/certs-d.ts';
import { readSystemStore } from '../../machine/trust/system-store.ts';
import { openWorkplace } from '../support/command.ts';
import { fixture, tlsRegistry } from '../support/tls-registry.ts';

const fixtures = new URL('../support/fixtures/', import.meta.url).pathname;
const [one = '', two = ''] = ['ca.pem', 'corp-ca.pem'].flatMap((name) => splitPem(fixture(name)));

let home: string;
let warnings: string[];
const warn = (message: string) => void warnings.push(message);

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tranship-trust-'));
  warnings = [];
});

afterEach(() => rm(home, { recursive: true, force: true }));

/** Writes files below the home directory and returns the path of the first. */
async function put(files: Record<string, string>): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(home, name, '..'), { recursive: true });
    await writeFile(join(home, name), content);
  }
  return join(home, Object.keys(files)[0] ?? '');
}

describe("the system's authorities", () => {
  const places = () => ({
    files: [join(home, 'no.crt'), join(home, 'b.crt'), join(home, 'c.crt')],
    directories: [join(home, 'd')],
  });
  const read = (env: Record<string, string>) => readSystemStore({ env, warn, places: places() });

  it('are those of the first bundle, and of all files of the directories', async () => {
    await put({ 'b.crt': `${one}\n`, 'c.crt': two, 'd/x.pem': two, 'd/junk': 'junk' });
    await symlink('x.pem', join(home, 'd', '0a1b2c3d.0'));
    expect((await read({})).toSorted()).toEqual([one, two].toSorted());
    expect(warnings).toEqual([]);
  });

  it('may be missing altogether, as on Lambda', async () => {
    expect(await read({})).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it('are replaced by SSL_CERT_FILE and SSL_CERT_DIR, each for its part', async () => {
    await put({ 'b.crt': one, 'd/x.pem': one, 'own.pem': two, 'dir/y': two });
    expect(await read({ SSL_CERT_FILE: join(home, 'own.pem') })).toEqual([two, one]);
    expect(await read({ SSL_CERT_DIR: `${join(home, 'dir')}:${join(home, 'd')}` })).toEqual([one, two]);
    expect(await read({ SSL_CERT_FILE: '', SSL_CERT_DIR: join(home, 'dir') })).toEqual([one, two]);
  });

  it('a named place that is of no use is warned of', async () => {
    const junk = await put({ 'junk.pem': 'hunter2' });
    await read({ SSL_CERT_FILE: join(home, 'nope.pem'), SSL_CERT_DIR: join(home, 'nope') });
    await read({ SSL_CERT_FILE: junk });
    await read({ SSL_CERT_FILE: home });
    expect(warnings.toSorted()).toEqual(
      [
        `SSL_CERT_DIR: ${home}/nope cannot be read (ENOENT)`,
        `SSL_CERT_FILE: ${home}/nope.pem cannot be read (ENOENT)`,
        `SSL_CERT_FILE: ${home} cannot be read (EISDIR)`,
        `SSL_CERT_FILE: there is no PEM certificate in ${junk}`,
      ].toSorted(),
    );
  });
});

describe('certs.d', () => {
  const read = (registry: string) => readRegistryTrust(certsDirectories({}, home), registry, warn);

  it.each(['.config/containers', '.config/docker', '.docker'])('is read in ~/%s', async (directory) => {
    await put({ [`${directory}/certs.d/r.test:5000/ca.crt`]: `${one}\n${two}` });
    expect(await read('r.test:5000')).toEqual({ authorities: [one, two], clients: [] });
    expect(await read('r.test')).toEqual({ authorities: [], clients: [] });
  });

  it('is looked for in the user directories first, then in /etc', () => {
    expect(certsDirectories({ XDG_CONFIG_HOME: '/x' }, '/home/me')).toEqual([
      '/x/containers/certs.d',
      '/home/me/.config/containers/certs.d',
      '/x/docker/certs.d',
      '/home/me/.docker/certs.d',
      '/etc/containers/certs.d',
      '/etc/docker/certs.d',
    ]);
  });

  it('gives client certificates with their keys; the first directory that is there counts alone', async () => {
    const pair = { cert: fixture('client.pem'), key: fixture('client-key.pem') };
    await put({
      '.config/containers/certs.d/r.test/client.cert': pair.cert,
      '.config/containers/certs.d/r.test/client.key': pair.key,
      '.docker/certs.d/r.test/ca.crt': one,
    });
    expect(await read('r.test')).toEqual({ authorities: [], clients: [pair] });
  });

  it.each([
    ['a certificate without key', { 'client.cert': 'x' }, /client\.cert has no key$/],
    ['a key without certificate', { 'client.key': 'x' }, /client\.key has no certificate$/],
    ['a pair that is none', { 'client.cert': 'hunter2', 'client.key': 'hunter2' }, /cannot be used$/],
    [
      'two that do not belong together',
      { 'client.cert': fixture('client.pem'), 'client.key': fixture('corp-key.pem') },
      /do not belong together$/,
    ],
  ])('%s is a mistake in the settings', async (_what, files: Record<string, string>, message) => {
    for (const [name, content] of Object.entries(files)) await put({ [`.docker/certs.d/r.test/${name}`]: content });
    await expect(read('r.test')).rejects.toMatchObject({
      class: 'configuration',
      code: 'config-invalid',
      message: expect.stringMatching(message),
    });
  });

  it('an authority that is none is warned of', async () => {
    const file = await put({ '.docker/certs.d/r.test/ca.crt': 'x' });
    expect(await read('r.test')).toEqual({ authorities: [], clients: [] });
    expect(warnings).toEqual([`there is no PEM certificate in ${file}`]);
  });

  it.each(['..', '.', 'a/../..'])('never leads out of its directory (%s)', async (registry) => {
    await put({ '.docker/certs.d/x/y': '', '.docker/ca.crt': one, '.docker/certs.d/ca.crt': one });
    expect(await read(registry)).toEqual({ authorities: [], clients: [] });
  });
});

describe('tranship plan, from a registry whose authority', () => {
  const run = async (env: Record<string, string>) => {
    await using registry = await tlsRegistry('corp');
    const work = openWorkplace();
    try {
      await cp(join(fixtures, 'corp-ca.pem'), join(work.directory, 'ca.pem'));
      const rules = work.write('images.yaml', `${registry.host}/app:1: ${registry.host}/mirror/app\n`);
      const certs = join(work.directory, '.docker/certs.d', registry.host);
      await mkdir(certs, { recursive: true });
      if (env.CERTS_D) await cp(join(fixtures, 'corp-ca.pem'), join(certs, 'ca.crt'));
      const ended = await work.run(['plan', '--images', rules], { SSL_CERT_FILE: '', SSL_CERT_DIR: '', ...env });
      return ended.stdout + ended.stderr;
    } finally {
      work.remove();
    }
  };

  it('is not known says where it can be named', async () => {
    const said = (await run({})).replace(/\s+/g, ' ');
    expect(said).toContain('it is issued by "Corp Root CA"');
    expect(said).toMatch(
      /SSL_CERT_FILE.*auth entry of 127\.0\.0\.1:\d+.*\/etc\/docker\/certs\.d\/127\.0\.0\.1:\d+\/ca\.crt/,
    );
  });

  it.each(['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS', 'CERTS_D'])(
    'is named by %s gets to it',
    async (name) => {
      const said = await run({ [name]: name === 'SSL_CERT_DIR' ? fixtures : join(fixtures, 'corp-ca.pem') });
      expect(said).not.toContain('certificate');
      // The registry has no image.
      expect(said).toContain('not-found');
    },
  );
});
