import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { testClient } from '../support/scripted-registry.ts';

const fixture = (name: string) => readFile(new URL(`../support/fixtures/${name}`, import.meta.url), 'utf8');

/** A registry that speaks TLS and nothing else, and knows no manifest. */
async function tlsRegistry() {
  const server = createServer(
    { cert: await fixture('server.pem'), key: await fixture('server-key.pem') },
    (request, response) => {
      response.writeHead(request.url === '/v2/' ? 200 : 404).end();
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    target: { registry: `127.0.0.1:${(server.address() as AddressInfo).port}`, repository: 'a', tag: '1' },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const clientWith = (login: AuthEntry | undefined) => testClient({ credentials: { lookup: async () => login } });

describe('certificates', () => {
  it('are checked, and the error says what to do', async () => {
    await using registry = await tlsRegistry();
    await using client = clientWith(undefined);
    await expect(headManifest(client, registry.target)).rejects.toMatchObject({
      class: 'permanent',
      code: 'network',
      mend: expect.stringContaining('`ca`'),
    });
  });

  it('may come from an own authority', async () => {
    await using registry = await tlsRegistry();
    await using client = clientWith({ ca: await fixture('ca.pem') });
    expect(await headManifest(client, registry.target)).toBeUndefined();
  });

  it('are not checked where the registry is said to be insecure', async () => {
    await using registry = await tlsRegistry();
    await using client = clientWith({ insecure: true });
    expect(await headManifest(client, registry.target)).toBeUndefined();
  });

  it('of the client that cannot be read are a mistake in the settings', async () => {
    await using registry = await tlsRegistry();
    await using client = clientWith({ cert: '-----BEGIN CERTIFICATE-----\nx', key: 'y' });
    await expect(headManifest(client, registry.target)).rejects.toMatchObject({ class: 'configuration' });
  });
});
