import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { AuthEntry } from '../../core/model/credentials.ts';
import type { TranshipError } from '../../core/model/errors.ts';
import type { Call } from '../../core/registry/call.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { networkError } from '../../core/registry/wire/network-error.ts';
import { type RegistryTrust, splitPem, type TrustStore } from '../../core/registry/wire/trust.ts';
import { testClient } from '../support/scripted-registry.ts';
import { fixture, tlsRegistry } from '../support/tls-registry.ts';

const clientWith = (login: AuthEntry | undefined, trust?: TrustStore) =>
  testClient({ credentials: { lookup: async () => login }, ...(trust && { trust }) });

function trustOf(common: string[], own: Partial<RegistryTrust> = {}): TrustStore {
  return {
    authorities: async () => common,
    forRegistry: async () => ({ authorities: [], clients: [], ...own }),
    advice: (registry) => `advice about ${registry}`,
  };
}

describe('certificates', () => {
  it('are checked, and the error says what to do', async () => {
    await using registry = await tlsRegistry();
    await using client = clientWith(undefined);
    await expect(headManifest(client, registry.target)).rejects.toMatchObject({
      class: 'permanent',
      code: 'network',
      message: expect.stringMatching(
        /it is issued by "Tranship test authority", and no authority that is trusted here/,
      ),
      mend: expect.stringContaining('`ca`'),
    });
  });

  it.each([
    ['corp', undefined, /issued by "Corp Root CA".*\(UNABLE_TO_/, /^advice about 127.0.0.1/],
    ['corp-self', undefined, /it is signed by itself \("self.corp.test"\)/, /^advice about 127.0.0.1/],
    ['corp-expired', 'corp-ca', /it expired on 2021-01-02 \(CERT_HAS_EXPIRED\)/, /^renew the certificate/],
    ['corp-other', 'corp-ca', /it is not for 127.0.0.1, but for other.corp.test/, /by a name that its certificate has/],
  ])('%s under %s: the error says what is wrong', async (certificate, ca, message, mend) => {
    await using registry = await tlsRegistry(certificate);
    await using client = clientWith(ca === undefined ? ca : { ca: fixture(`${ca}.pem`) }, trustOf([]));
    await expect(headManifest(client, registry.target)).rejects.toMatchObject({
      class: 'permanent',
      code: 'network',
      message: expect.stringMatching(message),
      mend: expect.stringMatching(mend),
    });
  });

  it('may come from an own authority', async () => {
    await using registry = await tlsRegistry();
    await using client = clientWith({ ca: fixture('ca.pem') });
    expect(await headManifest(client, registry.target)).toBeUndefined();
  });

  it('may come from an authority of the machine, for all registries or for one', async () => {
    await using registry = await tlsRegistry('corp');
    const authority = fixture('corp-ca.pem');
    await using all = clientWith(undefined, trustOf(['no PEM at all', authority]));
    expect(await headManifest(all, registry.target)).toBeUndefined();
    await using one = clientWith(undefined, trustOf([], { authorities: [authority] }));
    expect(await headManifest(one, registry.target)).toBeUndefined();
  });

  it('may come from an authority below the root that the server does not send', async () => {
    await using registry = await tlsRegistry('corp-below');
    await using stranger = clientWith(undefined);
    await expect(headManifest(stranger, registry.target)).rejects.toMatchObject({
      message: expect.stringContaining('issued by "Corp Issuing CA"'),
    });
    await using client = clientWith(undefined, trustOf([fixture('corp-mid.pem')]));
    expect(await headManifest(client, registry.target)).toBeUndefined();
  });

  it('are not checked where the registry is said to be insecure', async () => {
    await using registry = await tlsRegistry();
    await using client = clientWith({ insecure: true });
    expect(await headManifest(client, registry.target)).toBeUndefined();
  });

  it('of the client are shown to the registry, those of the login first', async () => {
    const wanting = { requestCert: true, rejectUnauthorized: true, ca: fixture('corp-ca.pem') };
    await using registry = await tlsRegistry('corp', wanting);
    const pair = { cert: fixture('client.pem'), key: fixture('client-key.pem') };
    const authority = fixture('corp-ca.pem');
    await using none = clientWith({ ca: authority });
    // Its alert may be lost where it closes the connection at once: then the mend says so.
    const refusal: TranshipError = await headManifest(none, registry.target).catch((error) => error);
    expect(refusal.code).toBe('network');
    expect(`${refusal.message} ${refusal.mend}`).toContain('client certificate');
    await using ofMachine = clientWith(undefined, trustOf([authority], { clients: [pair] }));
    expect(await headManifest(ofMachine, registry.target)).toBeUndefined();
    await using ofLogin = clientWith({ ...pair, ca: authority }, trustOf([], { clients: [{ cert: '', key: '' }] }));
    expect(await headManifest(ofLogin, registry.target)).toBeUndefined();
    expect(new Set(registry.clients)).toEqual(new Set(['tranship-client']));
  });

  it.each(['SSL/TLS_ALERT_BAD_CERTIFICATE', 'TLSV13_ALERT_CERTIFICATE_REQUIRED'])(
    'of the client are spoken of where the registry says %s',
    async (alert) => {
      await using client = clientWith(undefined);
      const call: Call = {
        client,
        repository: { registry: 'r.test', repository: 'a' },
        operation: 'ping',
        subject: 'r.test',
        access: 'pull',
      };
      const thrown = Object.assign(new Error('alert'), { code: `ERR_SSL_${alert}` });
      expect(networkError(thrown, call, 'r.test')).toMatchObject({
        class: 'permanent',
        message: expect.stringContaining('wants a client certificate'),
      });
    },
  );

  it.each([
    ['TLSV1_ALERT_PROTOCOL_VERSION', /no version of TLS from 1.2 on/, /TLS 1.2 or 1.3/],
    ['UNSUPPORTED_PROTOCOL', /no version of TLS from 1.2 on/, /TLS 1.2 or 1.3/],
    ['TLSV1_ALERT_NO_APPLICATION_PROTOCOL', /only HTTP\/2/, /HTTP\/1.1/],
    ['TLSV1_UNRECOGNIZED_NAME', /does not know this name/, /by a name/],
    ['SSL/TLS_ALERT_HANDSHAKE_FAILURE', /none of the ciphers/, /ECDHE/],
    ['WRONG_VERSION_NUMBER', /does not speak TLS as it should/, /insecure/],
  ])('are not reached where TLS fails with %s: the error says what to do', async (code, message, mend) => {
    await using client = clientWith(undefined);
    const repository = { registry: 'r.test', repository: 'a' };
    const call: Call = { client, repository, operation: 'ping', subject: 'r.test', access: 'pull' };
    const thrown = Object.assign(new Error('alert'), { code: `ERR_SSL_${code}` });
    expect(networkError(thrown, call, 'r.test')).toMatchObject({
      class: 'permanent',
      message: expect.stringMatching(message),
      mend: expect.stringMatching(mend),
    });
  });

  it('of the client that cannot be read are a mistake in the settings', async () => {
    await using registry = await tlsRegistry();
    await using client = clientWith({ cert: '-----BEGIN CERTIFICATE-----\nx', key: 'y' });
    await expect(headManifest(client, registry.target)).rejects.toMatchObject({ class: 'configuration' });
  });

  it('are taken out of a PEM text one by one', () => {
    const [one, two] = [fixture('ca.pem').trim(), fixture('corp-ca.pem').trim()];
    const text = `# Corp\r\nsubject=x\n${one.replaceAll('\n', '\r\n')}\n${fixture('corp-key.pem')}junk ${two}\n`;
    const found = splitPem(text);
    expect(found.map((pem) => new X509Certificate(pem).subject)).toEqual([
      new X509Certificate(one).subject,
      new X509Certificate(two).subject,
    ]);
  });
});
