import { readdirSync, readFileSync } from 'node:fs';
import type { Announcement, Ignored } from '../../core/announce/announcement.ts';
import type { WebhookRequest } from '../../core/announce/dialect.ts';
import type { DialectName } from '../../core/announce/dialect-name.ts';
import type { SenderKeys } from '../../core/announce/keys.ts';
import { type HookResponse, receive, respond } from '../../core/announce/receive.ts';
import type { Sender } from '../../core/announce/sender.ts';
import type { VerifyDeps } from '../../core/announce/verify.ts';
import type { Failure } from '../../core/model/errors.ts';

/** The token in the URL of every sender in tests. */
export const urlToken = 'u8Qd0yq3bX7nT1cVfK2mZw';

const folder = new URL('../../events/webhook/', import.meta.url);

/** `dialect/name` of each sample event. */
export const sampleNames = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.slice(0, -'.json'.length).replaceAll('\\', '/'))
  .sort();

/** A sample event as it would arrive at the URL of its dialect's sender. */
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

const places: Record<DialectName, Pick<Sender, 'allow'> & Partial<Sender>> = {
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

/** A sender that takes its dialect's samples, protected by its URL alone. */
export function senderOf(dialect: DialectName, change: Partial<Sender> = {}): Sender {
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

/** Keys for senders that need none. */
export const noKeys: SenderKeys = {
  google: () => Promise.reject(new Error('no key is needed here')),
  fetchCertificate: () => Promise.reject(new Error('no certificate is needed here')),
};

/** In the lifetime of all that the samples hold. */
export const noon = Date.parse('2026-08-20T12:00:00Z');
export const deps = { keys: noKeys, now: () => noon };

/** What a request leads to, with all its announcements stored. */
export interface Received extends HookResponse {
  announcements: Announcement[];
  ignored: Ignored[];
  settleMs: number;
  notice?: string;
  failure?: Failure;
}

export async function receiveAll(request: WebhookRequest, sender: Sender, verify: VerifyDeps): Promise<Received> {
  const receipt = await receive(request, sender, verify);
  if (receipt.kind === 'answered') {
    const { response, notice, failure } = receipt;
    return { ...response, announcements: [], ignored: [], settleMs: 0, notice, failure };
  }
  const { announcements, settleMs } = receipt;
  const results = announcements.map((announcement) => ({ announcement, fate: 'queued' as const }));
  const { response, ignored } = respond(sender, receipt, results);
  return { ...response, announcements, ignored, settleMs };
}
