import { readFileSync } from 'node:fs';
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { DialectName } from '../../core/announce/dialect-name.ts';
import { dialects } from '../../core/announce/dialects.ts';
import { formatAnnouncement } from '../../core/announce/filter.ts';
import {
  deps,
  readSample,
  receiveAll as receive,
  sampleNames,
  senderOf,
  withBody,
  withHeaders,
} from '../support/announce.ts';

const image = 'sha256:c66a8eb7e6a7e395bf000e8884c7de131a5cf32a9f42de44a1b9ceaf47c8900e';
const child = 'sha256:240389f4b730bad41f218a56c250ee7d82f42297ce7b9d0b6eb4f1cb3282c480';
const ecr = '123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app';
const gar = 'us-west1-docker.pkg.dev/my-project/my-repo/team/app';

/** What each sample leads to: announcements, and in brackets the reasons for which the rest is ignored. */
const expected: Record<string, string[]> = {
  'acr/chart-push': ['[not-an-image]'],
  'acr/delete': [`delete myregistry.azurecr.io/team/app:1.4.2@${image}`],
  'acr/ping': ['[test]'],
  'acr/push': [`push myregistry.azurecr.io/team/app:1.4.2@${image}`],
  'acr/push-by-digest': [`push myregistry.azurecr.io/team/app@${image}`],
  'acr-event-grid/batch': [
    `push myregistry.azurecr.io/team/app:1.4.2@${image}`,
    `delete myregistry.azurecr.io/team/app:1.4.2@${image}`,
    '[not-an-image]',
    '[unknown-event]',
  ],
  'acr-event-grid/batch-cloudevents': [
    `push myregistry.azurecr.io/team/app:1.4.2@${image}`,
    `push myregistry.azurecr.io/team/app:1.4@${image}`,
  ],
  'acr-event-grid/image-pushed': [`push myregistry.azurecr.io/team/app:1.4.2@${image}`],
  'acr-event-grid/image-pushed-cloudevents': [`push myregistry.azurecr.io/team/app:1.4.2@${image}`],
  'acr-event-grid/subscription-validation': [],
  'acr-event-grid/validation-options': [],
  'alibaba/push': [`push registry.cn-hangzhou.aliyuncs.com/team/app:1.4.2@${image}`],
  'artifactory/deleted': [`delete acme.jfrog.io/docker-local/team/app:1.4.2@${image}`],
  'artifactory/generic-artifact': ['[not-an-image]'],
  'artifactory/promoted': [`push acme.jfrog.io/docker-local/team/app:1.4.2@${image}`],
  'artifactory/pushed': [`push acme.jfrog.io/docker-local/team/app:1.4.2@${image}`],
  'artifactory/pushed-child': [`push acme.jfrog.io/docker-local/team/app@${child}`],
  'distribution/delete': ['delete registry.example.com/team/app:1.4.2', '[no-tag]'],
  'distribution/one-bad-among-good': [
    `push registry.example.com/team/app:1.4.2@${image}`,
    '[malformed]',
    '[unknown-event]',
    '[malformed]',
  ],
  'distribution/own-push': [`push registry.example.com/team/app:1.4.2@${image}`],
  'distribution/pull-and-mount': ['[not-a-push]', '[not-a-push]'],
  'distribution/push-v1-multi-arch': [
    `push registry.example.com/team/app@${child}`,
    `push registry.example.com/team/app:1.4.2@${image}`,
  ],
  'distribution/push-v2': [`push registry.example.com/team/app:1.4.2@${image}`, '[not-an-image]'],
  'distribution/referrers': [
    `push registry.example.com/team/app:${image.replace(':', '-')}.sig@${child}`,
    `push registry.example.com/team/app:${image.replace(':', '-')}@${child}`,
  ],
  'docker-hub/push': ['push docker.io/acme/app:1.4.2'],
  'docker-hub/push-official-image': ['push docker.io/library/nginx:latest'],
  'ecr/cloud-event': [`push ${ecr}:1.4.2@${image}`],
  'ecr/delete': [`delete ${ecr}:1.4.2@${image}`],
  'ecr/pull-through-cache': ['[cache-fill]'],
  'ecr/push': [`push ${ecr}:1.4.2@${image}`],
  'ecr/push-china': [`push 123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app:1.4.2@${image}`],
  'ecr/push-failed': ['[not-a-push]'],
  'ecr/push-untagged': [`push ${ecr}@${image}`],
  'ecr/replication': [`push ${ecr}:1.4.2@${image}`],
  'ecr/scan': ['[not-a-push]'],
  'ecr/sns-notification': [`push ${ecr}:1.4.2@${image}`],
  'ecr/sns-subscription-confirmation': [],
  'ecr/sns-unsubscribe-confirmation': ['[test]'],
  'ghcr/npm-package': ['[not-an-image]'],
  'ghcr/package': [`push ghcr.io/acme/app:1.4.2@${image}`],
  'ghcr/package-untagged': [`push ghcr.io/acme/app@${image}`],
  'ghcr/ping': ['[test]'],
  'ghcr/registry-package': [`push ghcr.io/acme/app:1.4.2@${image}`],
  'gitea/npm-package': ['[not-an-image]'],
  'gitea/package': ['push git.example.com/team/app:1.4.2'],
  'gitea/package-by-digest': [`push git.example.com/team/app@${child}`],
  'gitea/package-deleted': ['delete git.example.com/team/app:1.4.2'],
  'gitea/package-forgejo': ['push git.example.com/team/app:1.4.2'],
  'gitea/push-of-commits': ['[unknown-event]'],
  'gitlab/push': [`push gitlab.example.com:5050/group/project/app:1.4.2@${image}`],
  'google/delete-tag': [`delete ${gar}:1.4.2`],
  'google/insert-digest': [`push ${gar}@${image}`],
  'google/insert-signature': [`push ${gar}:${image.replace(':', '-')}.sig@${child}`],
  'google/insert-tag': [`push ${gar}:1.4.2@${image}`],
  'google/insert-unwrapped': [`push eu.gcr.io/my-project/app:1.4.2@${image}`],
  'harbor/delete': [`delete harbor.example.com/team/app:1.4.2@${image}`],
  'harbor/proxy-cache': ['[cache-fill]'],
  'harbor/pull': ['[not-a-push]'],
  'harbor/push': [`push harbor.example.com/team/app:1.4.2@${image}`],
  'harbor/push-by-digest': [`push harbor.example.com/team/app@${child}`],
  'harbor/push-cloudevents': [`push harbor.example.com/team/app:1.4.2@${image}`],
  'harbor/push-cloudevents-by-digest': [`push harbor.example.com/team/app@${child}`],
  'harbor/push-url': [`push harbor.example.com/team/app:1.4.2@${image}`],
  'harbor/replication-cloudevents': ['[not-a-push]'],
  'huawei/push': [`push swr.example.com/team/app:1.4.2@${image}`],
  'nexus/asset': ['[unknown-event]'],
  'nexus/component-created': ['push nexus.example.com:8083/team/app:1.4.2'],
  'nexus/component-deleted': ['delete nexus.example.com:8083/team/app:1.4.2'],
  'nexus/component-purged': ['[not-a-push]'],
  'nexus/component-updated': ['push nexus.example.com:8083/team/app:1.4.2'],
  'nexus/maven-component': ['[not-an-image]'],
  'plain/cloud-event': [`push registry.example.com/team/app:1.4.2@${image}`],
  'plain/cloud-event-binary': ['push registry.example.com/team/app:1.4.2'],
  'plain/delete': ['delete registry.example.com/team/app:1.4.2'],
  'plain/keel-native': [`push registry.example.com/team/app:1.4.2@${image}`],
  'plain/list': [
    'push registry.example.com/team/app:1.4.2',
    'push registry.example.com/team/app:1.4',
    '[no-tag]',
    '[malformed]',
    '[unknown-event]',
  ],
  'plain/push': ['push registry.example.com/team/app:1.4.2'],
  'plain/push-by-digest': [`push registry.example.com/team/app@${image}`],
  'quay/body-template': ['[unknown-event]'],
  'quay/build': ['[not-a-push]'],
  'quay/push': ['push quay.io/acme/app:1.4.2'],
  'quay/push-url': ['push quay.io/acme/app:1.4.2'],
  'quay/quota': ['[unknown-event]'],
  'quay/test-button': ['push quay.io/acme/app:latest', 'push quay.io/acme/app:foo'],
  'tencent/chart': ['[not-a-push]'],
  'tencent/push': [`push myinstance.tencentcloudcr.com/team/app:1.4.2@${image}`],
  'tencent/push-without-repository': [`push myinstance.tencentcloudcr.com/team/app:1.4.2@${image}`],
  'zot/delete': [`delete zot.example.com/team/app:1.4.2@${image}`],
  'zot/push': [`push zot.example.com/team/app:1.4.2@${image}`],
  'zot/push-by-digest': [`push zot.example.com/team/app@${image}`],
  'zot/push-structured': [`push zot.example.com/team/app:1.4.2@${image}`],
  'zot/scanned': ['[not-a-push]'],
};

const dialectOf = (name: string) => name.split('/', 1)[0] as DialectName;

describe('a sample event', () => {
  it('is there for every dialect, and each has its expectation', () => {
    expect(sampleNames).toEqual(Object.keys(expected).sort());
    expect(new Set(sampleNames.map(dialectOf))).toEqual(new Set(Object.keys(dialects)));
  });

  it.each(Object.keys(dialects))('of %s has a row in docs/webhooks.md', (dialect) => {
    const page = readFileSync(new URL('../../docs/webhooks.md', import.meta.url), 'utf8');
    expect(page).toMatch(new RegExp(`^\\|[^|]*\`${dialect}\``, 'm'));
  });

  it.each(sampleNames)('%s is understood and taken well', async (name) => {
    const receipt = await receive(readSample(name), senderOf(dialectOf(name)), deps);
    const accepted = receipt.announcements.map((one) => `${one.kind} ${formatAnnouncement(one)}`);
    expect([...accepted, ...receipt.ignored.map(({ reason }) => `[${reason}]`)]).toEqual(expected[name]);
    // One of the list is a mistake, which a script is told of.
    expect(receipt).toMatchObject({ status: name === 'plain/list' ? 400 : 200 });
    expect(receipt.announcements.every(({ dialect }) => dialect === dialectOf(name))).toBe(true);
  });

  it('carries when, who and which delivery, where the sender says so', async () => {
    const facts = async (name: string) => {
      const { announcements } = await receive(readSample(name), senderOf(dialectOf(name)), deps);
      const [{ at, actor, userAgent, deliveryId } = {}] = announcements;
      return { at, actor, userAgent, deliveryId };
    };
    const time = Date.parse('2026-08-20T09:15:27Z');
    expect(await facts('distribution/push-v2')).toEqual({
      at: time + 123,
      actor: 'ci-bot',
      userAgent: 'docker/27.1.1',
      deliveryId: '5f6a1b0e-1c4e-4d2f-9a53-0c3f6f3b1d11',
    });
    expect(await facts('zot/push')).toMatchObject({ at: time, deliveryId: '0b7f5c1e-1f0a-4c5e-8a4b-3f6f0f3a5e77' });
    expect(await facts('zot/push-structured')).toMatchObject({ at: time, deliveryId: '1d' });
    expect(await facts('nexus/component-created')).toMatchObject({ at: time + 515, actor: 'ci-bot' });
    expect(await facts('docker-hub/push')).toMatchObject({ at: 1_754_400_000_000, actor: 'ci-bot' });
    expect(await facts('google/insert-unwrapped')).toMatchObject({ at: time + 123, deliveryId: '8124412731205013' });
    expect(await facts('ghcr/package')).toMatchObject({ at: time, actor: 'octocat' });
    expect(await facts('alibaba/push')).toEqual({});
  });
});

it.each<[string, string]>([
  ['JSON that is said to be a form, as curl -d sends it', '{"image":"registry.example.com/team/app:1.4.2"}'],
  ['a form', `payload=${encodeURIComponent('{"image":"registry.example.com/team/app:1.4.2"}')}`],
])('takes %s', async (_, body) => {
  const request = withHeaders(withBody(readSample('plain/push'), body), {
    'content-type': 'application/x-www-form-urlencoded',
  });
  const { announcements } = await receive(request, senderOf('plain'), deps);
  expect(announcements.map(formatAnnouncement)).toEqual(['registry.example.com/team/app:1.4.2']);
});

it.each<[string, (body: string) => Buffer]>([
  ['gzip', gzipSync],
  ['zlib', deflateSync],
])('takes a body that is compressed by %s, whatever its headers say', async (_, compress) => {
  const body = compress('{"image":"registry.example.com/team/app:1.4.2"}');
  const { announcements } = await receive(withBody(readSample('plain/push'), body), senderOf('plain'), deps);
  expect(announcements.map(formatAnnouncement)).toEqual(['registry.example.com/team/app:1.4.2']);
});

it.each<[string, Buffer, number]>([
  ['is long once it is decompressed', gzipSync(' '.repeat(6 * 1024 * 1024)), 413],
  ['is damaged', gzipSync('{"image":"registry.example.com/team/app:1.4.2"}').subarray(0, 40), 400],
])('refuses a compressed body that %s', async (_, body, status) => {
  const received = await receive(withBody(readSample('plain/push'), body), senderOf('plain'), deps);
  expect(received.status).toBe(status);
});

it.each<[string, (data: unknown) => object]>([
  ['in base64', (data) => ({ data_base64: Buffer.from(JSON.stringify(data)).toString('base64') })],
  ['as a text', (data) => ({ data: JSON.stringify(data) })],
])('takes the data of a CloudEvent %s', async (_, written) => {
  for (const [dialect, sample] of [
    ['zot', 'zot/push-structured'],
    ['acr-event-grid', 'acr-event-grid/image-pushed-cloudevents'],
  ] as const) {
    const request = readSample(sample);
    const source = senderOf(dialect);
    const plain = await receive(request, source, deps);
    const { data, ...attributes } = JSON.parse(request.rawBody.toString());
    const { announcements } = await receive(withBody(request, { ...attributes, ...written(data) }), source, deps);
    expect(announcements.map(formatAnnouncement)).toEqual(plain.announcements.map(formatAnnouncement));
    expect(announcements).not.toEqual([]);
  }
});

it('takes a map of tags to image ids, as older versions of Quay send', async () => {
  const tags = { '1.4.2': 'b750fe79269d2ec9a3c593ef', latest: 'b750fe79269d2ec9a3c593ef' };
  const body = { docker_url: 'quay.io/acme/app', repository: 'acme/app', updated_tags: tags, pushed_image_count: 2 };
  const { announcements } = await receive(withBody(readSample('quay/push'), body), senderOf('quay'), deps);
  expect(announcements.map(formatAnnouncement)).toEqual(['quay.io/acme/app:1.4.2', 'quay.io/acme/app:latest']);
});

it.each<[string, DialectName, unknown, string]>([
  ['a digest behind the tag', 'plain', { image: 'registry.example.com/team/app', tag: `1@${image}` }, `:1@${image}`],
  ['a digest in the field of the tag', 'plain', { image: 'registry.example.com/team/app', tag: image }, `@${image}`],
  ['a scheme in front of the image', 'plain', { image: 'https://registry.example.com/team/app:1' }, ':1'],
  [
    'a scheme in front of the host',
    'distribution',
    {
      events: [
        {
          action: 'push',
          target: { repository: 'team/app', tag: '1', url: 'https://registry.example.com/v2/team/app/manifests/1' },
          request: { host: 'https://registry.example.com/' },
        },
      ],
    },
    ':1',
  ],
])('takes %s', async (_, dialect, body, rest) => {
  const request = withBody({ ...readSample('plain/push') }, body);
  const { announcements, ignored } = await receive(request, senderOf(dialect), deps);
  expect([ignored, announcements.map(formatAnnouncement)]).toEqual([[], [`registry.example.com/team/app${rest}`]]);
});

describe('a handshake', () => {
  it('of Event Grid is answered with its code', async () => {
    const receipt = await receive(
      readSample('acr-event-grid/subscription-validation'),
      senderOf('acr-event-grid'),
      deps,
    );
    expect(JSON.parse(receipt.body)).toEqual({ validationResponse: '512d38b6-c7b8-40c8-89fe-f46f9e9622b6' });
  });

  it.each(['myregistry.azurecr.cn', 'myregistry.azurecr.us/team', 'myregistry-h4b2d6ebe7gzh3e7.azurecr.io'])(
    'of Event Grid is answered for %s',
    async (allowed) => {
      const source = senderOf('acr-event-grid', { allow: [allowed] });
      const receipt = await receive(readSample('acr-event-grid/subscription-validation'), source, deps);
      expect(receipt.body).toContain('512d38b6');
    },
  );

  it('of Event Grid for a registry that is not configured is not', async () => {
    const source = senderOf('acr-event-grid', {
      allow: [
        'myregistry2.azurecr.io',
        'myregistry.azurecr.io.example.com',
        'my-myregistry.azurecr.io',
        'myregistry-a.b.azurecr.io',
        'myregistry.example.com',
        'other.azurecr.io/myregistry.azurecr.io',
      ],
    });
    const receipt = await receive(readSample('acr-event-grid/subscription-validation'), source, deps);
    expect(receipt.body).not.toContain('512d38b6');
    const mend = 'where it is yours, write registry: and its host at this sender in the webhooks file';
    expect(receipt.ignored).toEqual([{ reason: 'not-allowed', what: 'myregistry.azurecr.io', mend }]);
  });

  it('of CloudEvents is answered to Event Grid alone, and only where the token is right', async () => {
    const request = readSample('acr-event-grid/validation-options');
    const answer = await receive(request, senderOf('acr-event-grid'), deps);
    expect(answer.headers).toMatchObject({ 'webhook-allowed-origin': 'eventgrid.azure.net' });
    const others = [
      { ...request, headers: { 'webhook-request-origin': 'example.com' } },
      { ...request, path: '/hooks/test/u8Qd0yq3bX7nT1cVfK2mZx' },
    ];
    for (const other of others) {
      const { status, headers } = await receive(other, senderOf('acr-event-grid'), deps);
      expect(headers).not.toHaveProperty('webhook-allowed-origin');
      expect(status).toBeGreaterThanOrEqual(400);
    }
  });

  it('of SNS is shown to a person, if it leads to SNS, and never fetched', async () => {
    const request = readSample('ecr/sns-subscription-confirmation');
    const { notice } = await receive(request, senderOf('ecr'), deps);
    expect(notice).toContain('https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription');
    const confirm = (url: string) => {
      const body = { ...JSON.parse(request.rawBody.toString()), SubscribeURL: url };
      return receive({ ...request, rawBody: Buffer.from(JSON.stringify(body)) }, senderOf('ecr'), deps);
    };
    for (const host of ['sns.cn-north-1.amazonaws.com.cn', 'sns.eusc-de-east-1.amazonaws.eu']) {
      expect((await confirm(`https://${host}/`)).notice).toContain(`https://${host}/`);
    }
    const elsewhere = [
      'https://sns.eu-west-1.amazonaws.eu/',
      'http://sns.eu-west-1.amazonaws.com/',
      'https://sns.eu-west-1.amazonaws.com.example.com/',
      'https://user@sns.eu-west-1.amazonaws.com/',
      'https://sns.eu-west-1.amazonaws.com:8443/',
      'https://169.254.169.254/latest/meta-data',
    ];
    for (const url of elsewhere) {
      const receipt = await confirm(url);
      expect(receipt).toMatchObject({ status: 400, failure: { code: 'protocol' } });
      expect(receipt.notice).toBeUndefined();
    }
  });
});
