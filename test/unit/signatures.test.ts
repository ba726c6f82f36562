import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { SignatureRequirement } from '../../core/model/requirement.ts';
import { loadRules } from '../../core/rules/load-rules.ts';
import type { Candidate } from '../../core/signatures/candidate.ts';
import { createJudge } from '../../core/signatures/sigstore.ts';
import { pushImage } from '../../testing/images.ts';
import { startRegistry } from '../../testing/registry/server.ts';
import { machineFor } from '../support/machine.ts';
import { makeKeyPair, pushBundle, pushSimpleSignatures, signedBundle, signedSimply } from '../support/signing.ts';
import { temporaryState } from '../support/state.ts';
import { syncRules } from '../support/sync.ts';

const [ours, theirs] = [makeKeyPair(), makeKeyPair()];
const image = `sha256:${'a'.repeat(64)}`;
const other = `sha256:${'b'.repeat(64)}`;
const withKey: SignatureRequirement = { keys: [ours.publicKey], identities: [] };

/** Made with sigstore-js's mock of Fulcio and Rekor: an entry in a log tells when, so they do not expire. */
const keyless = JSON.parse(
  readFileSync(new URL('../support/fixtures/keyless-signatures.json', import.meta.url), 'utf8'),
);
const { identity, issuer } = keyless;
const byIdentity = (over: Partial<typeof keyless> = {}): SignatureRequirement => ({
  keys: [],
  identities: [{ identity: over.identity ?? identity, issuer: over.issuer ?? issuer }],
  trustRoot: JSON.stringify(keyless.trustRoot),
});

const bundle = (text: string): Candidate => ({ kind: 'bundle', text });
const simple = (signed: ReturnType<typeof signedSimply>): Candidate => ({ kind: 'simple', ...signed });
const keylessBundle = bundle(JSON.stringify(keyless.bundle));
const keylessSimple = simple({ payload: Buffer.from(keyless.simple), annotations: keyless.annotations });
const damaged = JSON.parse(JSON.stringify(keyless.bundle));
damaged.verificationMaterial.tlogEntries[0].integratedTime = '1';

describe('a signature', () => {
  it.each<[string, SignatureRequirement, Candidate, RegExp | undefined]>([
    ['by the key, in a bundle', withKey, bundle(signedBundle(image, ours)), undefined],
    ["by the key, in cosign's older format", withKey, simple(signedSimply(image, ours)), undefined],
    ['by another key, in a bundle', withKey, bundle(signedBundle(image, theirs)), /no key of the rule/],
    ["by another key, in cosign's older format", withKey, simple(signedSimply(image, theirs)), /no key of the rule/],
    [
      'by one of several keys',
      { ...withKey, keys: [theirs.publicKey, ours.publicKey] },
      bundle(signedBundle(image, ours)),
      undefined,
    ],
    ['of another image, in a bundle', withKey, bundle(signedBundle(other, ours)), /of another image/],
    ["of another image, in cosign's older format", withKey, simple(signedSimply(other, ours)), /of another image/],
    [
      'that is an attestation',
      withKey,
      bundle(signedBundle(image, ours, 'https://slsa.dev/provenance/v1')),
      /an attestation/,
    ],
    ['that is not JSON', withKey, bundle('<html>'), /JSON/],
    ['that is no bundle', withKey, bundle('{}'), /bundle/i],
    [
      'without signature',
      withKey,
      { kind: 'simple', payload: signedSimply(image, ours).payload, annotations: {} },
      /no key/,
    ],
    ['by the identity, in a bundle', byIdentity(), keylessBundle, undefined],
    ["by the identity, in cosign's older format", byIdentity(), keylessSimple, undefined],
    [
      'by an identity that fits a pattern',
      byIdentity({ identity: 'https://ci.example/team/*' }),
      keylessBundle,
      undefined,
    ],
    [
      'by another identity',
      byIdentity({ identity: 'https://ci.example/other/*' }),
      keylessBundle,
      /is signed by https:\/\/ci\.example\/team/,
    ],
    [
      'confirmed by another issuer',
      byIdentity({ issuer: 'https://evil.example' }),
      keylessSimple,
      /confirmed by https:\/\/issuer\.example/,
    ],
    ['whose entry in the log was changed', byIdentity(), bundle(JSON.stringify(damaged)), /./],
    ['that the public instance did not confirm', { ...byIdentity(), trustRoot: undefined }, keylessBundle, /chain/],
    ['with a certificate, where the rule names keys', withKey, keylessBundle, /the rule names keys/],
  ])('counts or does not: %s', (_, requirement, candidate, fault) => {
    const verdict = createJudge(requirement).judge(candidate, image);
    if (fault === undefined) expect(verdict).toBeUndefined();
    else expect(verdict).toMatch(fault);
  });
});

describe('a rule that requires a signature', () => {
  const state = temporaryState();
  const closing: Array<() => Promise<void>> = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    state.clean();
  });

  it('copies what is signed by its key, in either format, and says why it refuses the rest', async () => {
    const [source, destination] = await Promise.all([startRegistry(), startRegistry({ referrers: 'none' })]);
    const credentials = { lookup: async () => ({ insecure: true }) };
    const machine = machineFor(state.directory(), { credentials, signal: new AbortController().signal });
    closing.push(() => machine.close(), source.close, destination.close);
    const at = { url: source.url, repository: 'app' };
    const push = (tag: string) => pushImage(at, { seed: tag, tag });
    const [none, bad, twice, good] = [await push('none'), await push('bad'), await push('twice'), await push('good')];
    await pushBundle(at, bad, signedBundle(bad.digest, theirs));
    // Both sign the same text: two layers with one digest.
    await pushSimpleSignatures(at, twice, [signedSimply(twice.digest, theirs), signedSimply(twice.digest, ours)]);
    await pushBundle(at, good, signedBundle(good.digest, ours));
    const text = `version: 1\nrules:\n  - { from: ${source.host}/app, to: ${destination.host}/app, require: { key: cosign.pub } }\n`;
    const { rules } = loadRules(text, { file: 'tranship.yaml', env: {}, readNamed: () => ours.publicKey });
    const { outcomes } = await syncRules(machine, rules);
    const result = Object.fromEntries(outcomes.map(({ source: { tag = '' }, ...one }) => [tag, one]));
    expect(result).toMatchObject({
      good: { result: 'copied' },
      twice: { result: 'copied' },
      none: {
        result: 'failed',
        failure: { class: 'permanent', code: 'unsigned', message: expect.stringContaining('it has no signature') },
      },
      bad: {
        result: 'failed',
        failure: { code: 'unsigned', message: expect.stringContaining('no key of the rule made it') },
      },
    });
    expect(destination.content.tags('app').filter((tag) => !tag.startsWith('sha256-'))).toEqual(['good', 'twice']);
    await pushBundle(at, none, signedBundle(none.digest, ours));
    expect((await syncRules(machine, rules)).outcomes.map(({ result }) => result).sort()).toEqual(['copied', 'failed']);
  });

  it.each([
    ['identity alone', '{ identity: a@b.c }', 'identity and issuer belong together'],
    ['a private key', '{ key: cosign.key }', 'it is a private key'],
    ['nobody', '{ trustRoot: root.json }', 'requires a signature by nobody'],
  ])('is refused where it names %s', (_, require, fault) => {
    const text = `version: 1\nrules:\n  - { from: a.example/a, to: b.example/a, require: ${require} }\n`;
    const readNamed = () =>
      '-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nx\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----';
    expect(() => loadRules(text, { file: 'tranship.yaml', env: {}, readNamed })).toThrow(fault);
  });
});
