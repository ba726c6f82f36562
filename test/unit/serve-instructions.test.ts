import { describe, expect, it } from 'vitest';
import { renderInstructions } from '../../cli/report/webhook-instructions.ts';
import { type DialectName, dialectNames } from '../../core/announce/dialect-name.ts';
import type { Authentication } from '../../core/announce/sender.ts';
import { senderOf, urlToken } from '../support/announce.ts';

const secret = 'a secret of some length';
const hmac: Authentication = { kind: 'hmac', secrets: [secret, 'the one before it'] };
const bearer: Authentication = { kind: 'bearer', secrets: [secret] };
const header: Authentication = { kind: 'header', name: 'x-registry-key', secrets: [secret] };
const basic: Authentication = { kind: 'basic', logins: [{ username: 'mirror', password: secret }] };
const google: Authentication = { kind: 'google-oidc', audience: 'https://h.example', email: 'push@p.example' };
const sns: Authentication = { kind: 'sns', topics: ['arn:aws:sns:eu-west-1:123456789012:pushes'] };

const print = (dialect: DialectName, auth?: Authentication) =>
  renderInstructions(senderOf(dialect, auth && { auth, urlTokens: [] }), 'https://h.example/');

describe('what is printed for a sender', () => {
  it.each(dialectNames)('%s: has its URL, and no secret but the token in it', (dialect) => {
    expect(print(dialect)).toContain(`URL: https://h.example/hooks/test/${urlToken}\n`);
    for (const auth of [hmac, bearer, header, basic]) {
      const text = print(dialect, auth);
      expect(text).toContain('URL: https://h.example/hooks/test\n');
      expect(text).not.toContain(secret);
    }
  });

  it.each<[DialectName, Authentication | undefined, string]>([
    ['acr', bearer, `--registry myregistry --name tranship --actions push --uri 'https://h.example/hooks/test'`],
    ['acr', bearer, `--headers 'Authorization=Bearer SECRET'`],
    ['acr-event-grid', undefined, `--endpoint 'https://h.example/hooks/test/${urlToken}'`],
    ['artifactory', hmac, '"Use secret for payload signing": on'],
    ['artifactory', header, '"Use secret for payload signing": off'],
    ['distribution', header, 'X-Registry-Key: ["SECRET"]'],
    ['ecr', sns, '--topic-arn arn:aws:sns:eu-west-1:123456789012:pushes --protocol https'],
    ['ecr', header, 'to an API destination'],
    ['ghcr', hmac, 'Secret, to sign with (SECRET): the first of hmac: in the webhooks file.'],
    ['gitlab', bearer, "'headers' => { 'Authorization' => ['Bearer SECRET'] },"],
    ['google', google, "--push-auth-service-account push@p.example --push-auth-token-audience 'https://h.example'"],
    ['harbor', header, 'Header: X-Registry-Key: SECRET'],
    ['plain', bearer, "-H 'Authorization: Bearer SECRET'"],
    ['plain', hmac, 'openssl dgst -sha256 -hmac SECRET'],
    ['zot', basic, '"credentials": { "username": "mirror", "password": "SECRET" }'],
    ['zot', bearer, '"credentials": { "token": "SECRET" }'],
    ['zot', header, '"headers": { "X-Registry-Key": "SECRET" }'],
  ])('%s, with %j, says: %s', (dialect, auth, words) => {
    expect(print(dialect, auth)).toContain(words);
  });
});
