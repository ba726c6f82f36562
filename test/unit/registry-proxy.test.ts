import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { closeRegistryClient, createRegistryClient } from '../../core/registry/client.ts';
import { listTags } from '../../core/registry/tags.ts';
import { readProxySettings } from '../../core/registry/wire/proxy.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';

describe('readProxySettings', () => {
  it('takes the usual variables, lower case first, and always leaves loopback out', () => {
    expect(readProxySettings({})).toBeUndefined();
    expect(
      readProxySettings({ HTTPS_PROXY: 'http://upper:1', https_proxy: 'http://lower:2', NO_PROXY: 'corp.example' }),
    ).toEqual({ http: '', https: 'http://lower:2', none: 'corp.example,localhost,127.0.0.1,::1' });
  });

  it.each(['proxy', 'socks5://user:hunter2@proxy:1080'])('refuses %s without repeating it', (value) => {
    expect(() => readProxySettings({ HTTPS_PROXY: value })).toThrow('HTTPS_PROXY is not the URL of a proxy');
  });
});

describe('a registry behind a proxy', () => {
  const closers: Array<() => unknown> = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  /** Forwards whatever it is asked for to the registry, and notes the hosts that were asked for. */
  async function startProxy(registry: EmbeddedRegistry) {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(new URL(request.url ?? '').host);
      void fetch(`${registry.url}${new URL(request.url ?? '').pathname}`).then(async (answer) => {
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
      });
    });
    server.on('connect', (request, socket) => {
      asked.push(request.url ?? '');
      const { port, hostname } = new URL(registry.url);
      const upstream = connect(Number(port), hostname, () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      for (const end of [socket, upstream]) end.on('error', () => end.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  it('is reached through it, and one on the list of exceptions is not', async () => {
    const registry = await startRegistry();
    closers.push(() => registry.close());
    const proxy = await startProxy(registry);
    const settings = readProxySettings({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url });
    const client = createRegistryClient({ credentials: { lookup: async () => ({ insecure: true }) }, proxy: settings });
    closers.push(() => closeRegistryClient(client));
    const list = (name: string) => Array.fromAsync(listTags(client, { registry: name, repository: 'a/b' }));

    await expect(list('registry.corp.example')).rejects.toMatchObject({ code: 'not-found' });
    expect(new Set(proxy.asked)).toEqual(new Set(['registry.corp.example:443', 'registry.corp.example']));
    await expect(list(registry.host)).rejects.toMatchObject({ code: 'not-found' });
    expect(proxy.asked.filter((host) => host.includes('127.0.0.1'))).toEqual([]);
  });
});
