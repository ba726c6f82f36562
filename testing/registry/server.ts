import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Access, type AccessOptions, type Action, createAccess, type Need } from './access.ts';
import { deleteBlob, getBlob } from './blobs.ts';
import { type Content, createContent, type Lacking } from './content.ts';
import type { Deletes, Exchange, Handler } from './exchange.ts';
import { listReferrers, listRepositories, listTags } from './listings.ts';
import { deleteManifest, getManifest, putManifest } from './manifests.ts';
import { answerProblem, Problem } from './problem.ts';
import { cancelUpload, finishUpload, patchUpload, startUpload, uploadStatus } from './uploads.ts';

export interface RegistryOptions {
  /** Default: anybody may do anything. */
  access?: AccessOptions;
  /** Default: a free one. */
  port?: number;
  /** Longest page of a tag list, whatever `n` asks for. Default 1000. */
  maxTagsPerPage?: number;
  /**
   * The API that lists referrers, with pages of so many where a number is given; `none`: as CNCF distribution, which has
   * no such API and does not look at subjects. Default: one page.
   */
  referrers?: number | 'none';
  /**
   * What DELETE of a manifest takes: a tag or a digest, as the specification has it (default); `digests` alone, with
   * all their tags, as CNCF distribution 2 does; `nothing`, as where deletions are switched off.
   */
  deletes?: Deletes;
  /**
   * What becomes of a manifest that names something the registry does not have: refused with MANIFEST_BLOB_UNKNOWN
   * (default); `invalid`: with MANIFEST_INVALID, as zot and Quay do; `taken`, as zot does with artifacts.
   */
  lacking?: Lacking;
  /** Check uploaded blobs but keep only their digest and size: to measure what moving them costs. */
  discard?: boolean;
}

/** What was asked and how it was answered, for tests that count. */
export interface RecordedRequest {
  method: string;
  /** Path with query, as sent. */
  path: string;
  /** Verb and object: `get manifest`, `start upload`; `unknown` for a path that is none of a registry's. */
  operation: string;
  repository: string | undefined;
  /** 0 while it is not answered, and where the client went away. */
  status: number;
  /** Bytes of blobs that came in or went out. */
  blobBytes: number;
}

export interface EmbeddedRegistry {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  url: string;
  /** `127.0.0.1:port`, as it stands in a reference. */
  host: string;
  /** In order of arrival. May be emptied (`length = 0`) between two things to count. */
  requests: RecordedRequest[];
  /** How many requests of these operations there were; of any, without arguments. */
  count(...operations: string[]): number;
  content: Content;
  close(): Promise<void>;
}

interface Route {
  operation: string;
  handle: Handler;
  actions: Action[];
}

const repositoryPattern = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const pathPattern = /^\/v2\/(.+)\/(tags(?=\/list$)|referrers|manifests|blobs\/uploads|blobs)\/([^/]*)$/;

/** By method and kind of path. Rights as CNCF distribution asks for them: who pushes must also be allowed to pull. */
const routes: Record<string, Route> = {
  'GET tags': { operation: 'list tags', handle: listTags, actions: ['pull'] },
  'GET referrers': { operation: 'list referrers', handle: listReferrers, actions: ['pull'] },
  'HEAD manifests': { operation: 'head manifest', handle: getManifest, actions: ['pull'] },
  'GET manifests': { operation: 'get manifest', handle: getManifest, actions: ['pull'] },
  'PUT manifests': { operation: 'put manifest', handle: putManifest, actions: ['pull', 'push'] },
  'DELETE manifests': { operation: 'delete manifest', handle: deleteManifest, actions: ['delete'] },
  'HEAD blobs': { operation: 'head blob', handle: getBlob, actions: ['pull'] },
  'GET blobs': { operation: 'get blob', handle: getBlob, actions: ['pull'] },
  'DELETE blobs': { operation: 'delete blob', handle: deleteBlob, actions: ['delete'] },
  'POST blobs/uploads': { operation: 'start upload', handle: startUpload, actions: ['pull', 'push'] },
  'PATCH blobs/uploads': { operation: 'write upload', handle: patchUpload, actions: ['pull', 'push'] },
  'GET blobs/uploads': { operation: 'upload status', handle: uploadStatus, actions: ['pull'] },
  'PUT blobs/uploads': { operation: 'finish upload', handle: finishUpload, actions: ['pull', 'push'] },
  'DELETE blobs/uploads': { operation: 'cancel upload', handle: cancelUpload, actions: ['delete'] },
};

/**
 * A registry in this process, on loopback, that keeps everything in memory: for the demonstration and for tests.
 * Follows the OCI distribution specification 1.1 strictly, and CNCF distribution where the specification leaves a
 * choice.
 */
export async function startRegistry(options: RegistryOptions = {}): Promise<EmbeddedRegistry> {
  const content = createContent({ discard: options.discard ?? false, lacking: options.lacking });
  const access = createAccess(options.access ?? { kind: 'none' });
  const maxTagsPerPage = options.maxTagsPerPage ?? 1000;
  const referrers = options.referrers ?? Number.POSITIVE_INFINITY;
  const deletes = options.deletes ?? 'tags';
  const requests: RecordedRequest[] = [];

  const server = createServer((request, response) => {
    const record: RecordedRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      operation: 'unknown',
      repository: undefined,
      status: 0,
      blobBytes: 0,
    };
    requests.push(record);
    response.on('finish', () => {
      record.status = response.statusCode;
    });
    answer({ content, access, maxTagsPerPage, referrers, deletes, request, response, record }).catch((error: unknown) =>
      fail(response, error),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url: `http://${host}`,
    host,
    requests,
    count: (...operations) =>
      operations.length === 0 ? requests.length : requests.filter((one) => operations.includes(one.operation)).length,
    content,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Incoming {
  content: Content;
  access: Access;
  maxTagsPerPage: number;
  referrers: number | 'none';
  deletes: Deletes;
  request: IncomingMessage;
  response: ServerResponse;
  record: RecordedRequest;
}

async function answer(incoming: Incoming): Promise<void> {
  const { access, request, response, record } = incoming;
  response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0');
  const url = new URL(record.path, 'http://registry');
  if (url.pathname === '/token' && access.issue !== undefined) {
    record.operation = 'token';
    const parameters = request.method === 'POST' ? new URLSearchParams(await textOf(request)) : url.searchParams;
    return sendJson(response, access.issue(request, parameters));
  }
  if (url.pathname === '/v2/') {
    record.operation = 'ping';
    access.check(request, []);
    return sendJson(response, {});
  }
  if (url.pathname === '/v2/_catalog') {
    record.operation = 'list repositories';
    access.check(request, [{ repository: '', actions: ['catalog'] }]);
    const { repositories, link } = listRepositories(incoming.content.repositories(), url.searchParams);
    if (link !== undefined) response.setHeader('Link', link);
    return sendJson(response, { repositories });
  }
  const [, repository, kind, argument] = pathPattern.exec(decodeURIComponent(url.pathname)) ?? [];
  if (repository === undefined || kind === undefined || argument === undefined) {
    throw new Problem(404, 'UNSUPPORTED', 'no such endpoint');
  }
  const route = routes[`${request.method} ${kind}`];
  if (route === undefined) throw new Problem(405, 'UNSUPPORTED', 'the operation is unsupported');
  record.operation = route.operation;
  record.repository = repository;
  if (repository.length > 255 || !repositoryPattern.test(repository)) {
    throw new Problem(400, 'NAME_INVALID', 'invalid repository name');
  }
  access.check(request, needsOf(route, repository, url.searchParams));
  const exchange: Exchange = {
    ...incoming,
    query: url.searchParams,
    repository,
    argument,
    onBlobBytes: (count) => {
      record.blobBytes += count;
    },
  };
  await route.handle(exchange);
}

/** A mount reads the repository it mounts from. */
function needsOf(route: Route, repository: string, query: URLSearchParams): Need[] {
  const from = query.get('from');
  const need: Need = { repository, actions: route.actions };
  return route.operation === 'start upload' && from !== null ? [need, { repository: from, actions: ['pull'] }] : [need];
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) response.destroy();
  else if (error instanceof Problem) answerProblem(response, error);
  else if (error instanceof URIError) answerProblem(response, new Problem(400, 'NAME_INVALID', 'invalid path'));
  else answerProblem(response, new Problem(500, 'UNKNOWN', error instanceof Error ? error.message : String(error)));
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function sendJson(response: ServerResponse, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }).end(text);
}
