import { Agent, type Dispatcher, request } from 'undici';
import { digestOf } from './registry/content.ts';

/** A repository to push made-up content to: on any registry, with its own small client, not the product's. */
export interface PushTarget {
  /** `http://127.0.0.1:5000`, without a slash at the end. */
  url: string;
  repository: string;
  username?: string;
  password?: string;
  /** PEM of the authority that signed the registry's certificate. */
  ca?: string;
}

/** OCI image-spec "Content Descriptors". */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  urls?: string[];
  annotations?: Record<string, string>;
  artifactType?: string;
}

/** A manifest that the registry has, byte for byte. */
export interface PushedManifest extends Descriptor {
  bytes: Buffer;
}

type Algorithm = 'sha256' | 'sha512';

/** Uploads a blob in one go (POST, PUT with body). */
export async function pushBlob(
  target: PushTarget,
  mediaType: string,
  bytes: Buffer,
  algorithm: Algorithm = 'sha256',
): Promise<Descriptor> {
  const digest = digestOf(bytes, algorithm);
  const started = await send(target, 'POST', `${target.url}/v2/${target.repository}/blobs/uploads/`, 202);
  const location = new URL(String(started.headers.location), target.url);
  location.searchParams.set('digest', digest);
  await send(target, 'PUT', location.href, 201, { type: 'application/octet-stream', bytes });
  return { mediaType, digest, size: bytes.length };
}

/**
 * Puts a manifest by tag, or by its digest where there is none.
 * @param manifest plain data, or the bytes to put as they are
 */
export async function pushManifest(
  target: PushTarget,
  mediaType: string,
  manifest: object,
  options: { tag?: string | undefined; algorithm?: Algorithm } = {},
): Promise<PushedManifest> {
  const bytes = Buffer.isBuffer(manifest) ? manifest : Buffer.from(JSON.stringify(manifest, undefined, 2));
  const digest = digestOf(bytes, options.algorithm);
  const url = `${target.url}/v2/${target.repository}/manifests/${options.tag ?? digest}`;
  await send(target, 'PUT', url, 201, { type: mediaType, bytes });
  return { mediaType, digest, size: bytes.length, bytes };
}

/** Deletes a manifest by digest, or a tag (which CNCF distribution 2 refuses). */
export async function deleteManifest(target: PushTarget, reference: string): Promise<void> {
  await send(target, 'DELETE', `${target.url}/v2/${target.repository}/manifests/${reference}`, 202);
}

/** The last `Authorization` that a target's registry took. */
const authorizations = new WeakMap<PushTarget, string>();

interface Body {
  type: string;
  bytes: Buffer;
}

async function send(
  target: PushTarget,
  method: 'POST' | 'PUT' | 'DELETE',
  url: string,
  wanted: number,
  body?: Body,
): Promise<{ headers: Record<string, string | string[] | undefined> }> {
  let response = await sendOnce(target, method, url, authorizations.get(target) ?? basicOf(target), body);
  const challenge = response.headers['www-authenticate'];
  if (response.status === 401 && typeof challenge === 'string' && challenge.startsWith('Bearer ')) {
    const authorization = await fetchToken(target, challenge);
    authorizations.set(target, authorization);
    response = await sendOnce(target, method, url, authorization, body);
  }
  if (response.status !== wanted) throw new Error(`${method} ${url}: ${response.status} ${response.text}`);
  return response;
}

async function sendOnce(
  target: PushTarget,
  method: Dispatcher.HttpMethod,
  url: string,
  authorization: string | undefined,
  body: Body | undefined,
) {
  const agent = target.ca === undefined ? undefined : new Agent({ connect: { ca: target.ca } });
  try {
    const response = await request(url, {
      method,
      // A registry in this process may close a kept connection just when, after a pause of both, it is used again.
      reset: true,
      headers: { ...(authorization !== undefined && { authorization }), ...(body && { 'content-type': body.type }) },
      ...(body && { body: body.bytes }),
      ...(agent && { dispatcher: agent }),
    });
    return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
  } finally {
    await agent?.close();
  }
}

function basicOf(target: PushTarget): string | undefined {
  if (target.username === undefined) return undefined;
  return `Basic ${Buffer.from(`${target.username}:${target.password ?? ''}`).toString('base64')}`;
}

async function fetchToken(target: PushTarget, challenge: string): Promise<string> {
  const fields = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map((match) => [match[1], match[2]]));
  const url = new URL(fields.get('realm') ?? '');
  for (const name of ['service', 'scope']) url.searchParams.set(name, fields.get(name) ?? '');
  const response = await sendOnce(target, 'GET', url.href, basicOf(target), undefined);
  if (response.status !== 200) throw new Error(`GET ${url}: ${response.status} ${response.text}`);
  return `Bearer ${JSON.parse(response.text).token}`;
}
