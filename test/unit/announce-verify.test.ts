import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import { dialectNames } from '../../core/announce/dialect-name.ts';
import { dialects } from '../../core/announce/dialects.ts';
import { DEFAULT_MAX_BODY_BYTES } from '../../core/announce/receive.ts';
import type { Authentication } from '../../core/announce/sender.ts';
import { hasCode, TranshipError } from '../../core/model/errors.ts';
import {
  deps,
  noKeys,
  noon,
  readSample,
  receiveAll as receive,
  sampleNames,
  senderOf,
  withBody,
  withHeaders,
} from '../support/announce.ts';

const secret = 's3cr3t of some length';
const signers = dialectNames.filter((name) => dialects[name].hmac !== undefined);
const firstPush: Record<string, string> = {
  artifactory: 'pushed',
  ghcr: 'package',
  gitea: 'package',
  nexus: 'component-created',
};
const sampleOf = (dialect: string) => readSample(`${dialect}/${firstPush[dialect] ?? 'push'}`);

describe('signatures', () => {
  it.each(signers)('%s: takes its own, of the old secret too, and no other', async (dialect) => {
    const form = dialects[dialect].hmac!;
    const auth: Authentication = { kind: 'hmac', secrets: ['a new secret, in force', secret] };
    const source = senderOf(dialect, { auth });
    const request = sampleOf(dialect);
    const sign = (key: string) =>
      `${form.prefix?.text ?? ''}${createHmac(form.algorithm, key).update(request.rawBody).digest('hex')}`;
    const sent = (signature: string) => withHeaders(request, { [form.headers[0]!]: signature });
    const prefix = form.prefix?.text ?? '';
    const inCapitals = `${prefix}${sign(secret).slice(prefix.length).toUpperCase()}`;
    for (const good of [sign(secret), inCapitals]) {
      expect((await receive(sent(good), source, deps)).announcements).not.toEqual([]);
    }
    for (const bad of [sign('another'), '', 'sha256=', sign(secret).slice(0, -1)]) {
      expect(await receive(sent(bad), source, deps), bad).toMatchObject({ status: 401, announcements: [] });
    }
    expect((await receive(request, source, deps)).status).toBe(401);
    expect((await receive(withBody(sent(sign(secret)), `${request.rawBody} `), source, deps)).status).toBe(401);
  });

  it("is GitHub's published one", async () => {
    const source = senderOf('ghcr', { auth: { kind: 'hmac', secrets: ["It's a Secret to Everybody"] } });
    const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
    const request = withHeaders(withBody(sampleOf('ghcr'), 'Hello, World!'), { 'x-hub-signature-256': signature });
    // Verified, and then no JSON.
    expect((await receive(request, source, deps)).status).toBe(400);
  });
});

describe('other proofs', () => {
  const cases: Array<[Authentication, Record<string, string>, Record<string, string>]> = [
    [{ kind: 'header', name: 'authorization', secrets: [secret] }, { authorization: secret }, { authorization: 'x' }],
    // As Node reads it: each byte of its UTF-8 is a character.
    [
      { kind: 'header', name: 'x-key', secrets: ['schlüssel'] },
      { 'x-key': Buffer.from('schlüssel').toString('latin1') },
      { 'x-key': 'schlussel' },
    ],
    [{ kind: 'header', name: 'x-key', secrets: ['schlüssel'] }, { 'x-key': 'schlüssel' }, { 'x-key': 'schl' }],
    [{ kind: 'bearer', secrets: [secret] }, { authorization: `Bearer ${secret.replaceAll(' ', '')}` }, {}],
    [
      { kind: 'basic', logins: [{ username: 'registry', password: secret }] },
      { authorization: `Basic ${Buffer.from(`registry:${secret}`).toString('base64')}` },
      { authorization: `Basic ${Buffer.from('registry:guess').toString('base64')}` },
    ],
  ];
  it.each(cases)('%j', async (auth, good, bad) => {
    const fixed = auth.kind === 'bearer' ? { ...auth, secrets: [secret.replaceAll(' ', '')] } : auth;
    const source = senderOf('harbor', { auth: fixed });
    expect((await receive(withHeaders(sampleOf('harbor'), good), source, deps)).status).toBe(200);
    expect((await receive(withHeaders(sampleOf('harbor'), bad), source, deps)).status).toBe(401);
    expect((await receive(sampleOf('harbor'), source, deps)).status).toBe(401);
  });

  it("Google's token: signature, issuer, audience, account and time", async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256');
    const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256' };
    const keys = { ...noKeys, google: createLocalJWKSet({ keys: [jwk] }) };
    const source = senderOf('google', {
      auth: { kind: 'google-oidc', audience: 'https://hooks.example', email: 'push@project.example' },
    });
    const claims = { email: 'push@project.example', email_verified: true };
    const token = (change: { claims?: object; issuer?: string; audience?: string; expires?: number } = {}) =>
      new SignJWT({ ...claims, ...change.claims })
        .setProtectedHeader({ alg: 'RS256', kid: 'one' })
        .setIssuer(change.issuer ?? 'https://accounts.google.com')
        .setAudience(change.audience ?? 'https://hooks.example')
        .setIssuedAt(noon / 1000)
        .setExpirationTime(change.expires ?? noon / 1000 + 3600)
        .sign(privateKey);
    const status = async (jwt: string) => {
      const request = withHeaders(readSample('google/insert-tag'), { authorization: `Bearer ${jwt}` });
      return (await receive(request, source, { ...deps, keys })).status;
    };
    expect(await status(await token())).toBe(200);
    expect(await status(await token({ audience: 'https://other.example' }))).toBe(401);
    expect(await status(await token({ issuer: 'https://evil.example' }))).toBe(401);
    expect(await status(await token({ claims: { email: 'other@project.example' } }))).toBe(401);
    expect(await status(await token({ claims: { email_verified: false } }))).toBe(401);
    expect(await status(await token({ expires: noon / 1000 - 3600 }))).toBe(401);
    expect(await status('a.b.c')).toBe(401);
  });

  it('answers 503, so that the sender comes again, where a key cannot be had', async () => {
    const source = senderOf('google', { auth: { kind: 'google-oidc', audience: 'a', email: 'b' } });
    const google = () => Promise.reject(new TranshipError('away', { class: 'transient', code: 'network' }));
    const { privateKey } = await generateKeyPair('RS256');
    const jwt = await new SignJWT({}).setProtectedHeader({ alg: 'RS256' }).sign(privateKey);
    const request = withHeaders(readSample('google/insert-tag'), { authorization: `Bearer ${jwt}` });
    expect((await receive(request, source, { ...deps, keys: { ...noKeys, google } })).status).toBe(503);
  });
});

describe.each(dialectNames)('%s', (dialect) => {
  const sample = readSample(sampleNames.find((name) => name.startsWith(`${dialect}/`))!);
  const source = senderOf(dialect);
  const push = { ...sample, method: 'POST' };

  it('refuses a wrong URL, another method and a flood of bytes', async () => {
    expect((await receive({ ...push, path: '/hooks/test/guess' }, source, deps)).status).toBe(404);
    expect((await receive({ ...push, path: '/hooks/test' }, source, deps)).status).toBe(404);
    expect((await receive({ ...push, path: `${push.path}/` }, source, deps)).status).toBe(404);
    expect((await receive({ ...push, method: 'GET' }, source, deps)).status).toBe(405);
    const flood = withBody(push, Buffer.alloc((dialects[dialect].maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES) + 1, ' '));
    expect((await receive(flood, source, deps)).announcements).toEqual([]);
  });

  it('lets nobody speak for a registry that is not theirs', async () => {
    for (const name of sampleNames.filter((one) => one.startsWith(`${dialect}/`))) {
      const receipt = await receive(readSample(name), { ...source, allow: ['elsewhere.example'] }, deps);
      expect(receipt.announcements, name).toEqual([]);
    }
  });

  it('throws nothing but its own error, whatever the body is', async () => {
    const keys = fc.constantFrom(
      'events',
      'push_data',
      'repository',
      'target',
      'tag',
      'digest',
      'type',
      'data',
      'image',
    );
    const body = fc.oneof(
      fc.string(),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc.dictionary(keys, fc.jsonValue()).map((value) => JSON.stringify(value)),
    );
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        const receipt = await receive(withBody(push, text), source, deps);
        expect([200, 400]).toContain(receipt.status);
        try {
          dialects[dialect].parse(withBody(push, text), source);
        } catch (error) {
          expect(hasCode(error, 'protocol')).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });
});

it('answers with 503 before a sender has had enough, where a key takes long to fetch', async () => {
  vi.useFakeTimers();
  try {
    let fetched: (() => void) | undefined;
    const google = () =>
      new Promise<never>((_, reject) => {
        fetched = () => reject(new Error('too late'));
      });
    const auth: Authentication = { kind: 'google-oidc', audience: 'https://hooks.example', email: 'a@project.example' };
    const jwt = [{ alg: 'RS256' }, {}].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
    const request = withHeaders(readSample('google/insert-tag'), { authorization: `Bearer ${jwt.join('.')}.AAAA` });
    const answer = receive(request, senderOf('google', { auth }), { ...deps, keys: { ...noKeys, google } });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await answer).toMatchObject({ status: 503, failure: { code: 'timeout' }, announcements: [] });
    // What comes after the answer hurts nobody.
    fetched?.();
    await vi.runAllTimersAsync();
  } finally {
    vi.useRealTimers();
  }
});
