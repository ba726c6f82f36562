import { readdirSync, readFileSync } from 'node:fs';
import type { WebhookRequest } from '../../core/announce/dialect.ts';
import type { DialectName } from '../../core/announce/dialect-name.ts';
import type { SenderKeys } from '../../core/announce/keys.ts';
import type { WebhookSource } from '../../core/announce/source.ts';

/** The token in the URL of every source in tests. */
export const urlToken = 'u8Qd0yq3bX7nT1cVfK2mZw';

const folder = new URL('../../events/webhook/', import.meta.url);

/** `dialect/name` of each sample event. */
export const sampleNames = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.slice(0, -'.json'.length).replaceAll('\\', '/'))
  .sort();

/** A sample event as it would arrive at the URL of its dialect's source. */
export function readSample(name: string): WebhookRequest {
  const sample = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));
  return {
    method: sample.method,
    path: `/hooks/test/${urlToken}`,
    headers: sample.headers,
    rawBody: Buffer.from(sample.body === undefined ? '' : JSON.stringify(sample.body)),
  };
}

/** The same request with another body: text, bytes, or anything as JSON. */
export function withBody(request: WebhookRequest, body: unknown): WebhookRequest {
  const rawBody = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return { ...request, rawBody };
}

export function withHeaders(request: WebhookRequest, headers: Record<string, string>): WebhookRequest {
  return { ...request, headers: { ...request.headers, ...headers } };
}

const places: Record<DialectName, Pick<WebhookSource, 'allow'> & Partial<WebhookSource>> = {
  acr: { allow: ['myregistry.azurecr.io'] },
  'acr-event-grid': { allow: ['myregistry.azurecr.io'] },
  alibaba: { allow: ['registry.cn-hangzhou.aliyuncs.com/team'] },
  artifactory: { allow: ['acme.jfrog.io'] },
  distribution: { allow: ['registry.example.com/team'] },
  'docker-hub': { allow: ['docker.io/acme', 'docker.io/library'] },
  ecr: { allow: ['123456789012.dkr.ecr.eu-west-1.amazonaws.com', '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn'] },
  ghcr: { allow: ['ghcr.io/acme'] },
  gitea: { allow: ['git.example.com'] },
  gitlab: { allow: ['gitlab.example.com:5050'] },
  google: { allow: ['us-west1-docker.pkg.dev/my-project', 'eu.gcr.io/my-project'] },
  harbor: { allow: ['harbor.example.com'] },
  huawei: { allow: ['swr.example.com'] },
  nexus: { allow: ['nexus.example.com:8083'], registry: 'nexus.example.com:8083' },
  plain: { allow: ['registry.example.com/team'] },
  quay: { allow: ['quay.io/acme'] },
  tencent: { allow: ['myinstance.tencentcloudcr.com'] },
  zot: { allow: ['zot.example.com'], registry: 'zot.example.com' },
};

/** A source that takes its dialect's samples, protected by its URL alone. */
export function sourceOf(dialect: DialectName, change: Partial<WebhookSource> = {}): WebhookSource {
  return {
    name: 'test',
    dialect,
    urlTokens: [urlToken],
    auth: { kind: 'url' },
    ownActors: [],
    ...places[dialect],
    ...change,
  };
}

/** Keys for sources that need none. */
export const noKeys: SenderKeys = {
  google: () => Promise.reject(new Error('no key is needed here')),
  fetchCertificate: () => Promise.reject(new Error('no certificate is needed here')),
};

/** In the lifetime of all that the samples hold. */
export const noon = Date.parse('2026-08-20T12:00:00Z');
export const deps = { keys: noKeys, now: () => noon };
