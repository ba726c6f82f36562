import type { ErrorClass, ErrorCode, TranshipError } from '../model/errors.ts';
import type { Repository } from '../model/reference.ts';
import { bearerChallenge } from './auth/challenge.ts';
import { type Call, callError } from './call.ts';
import { parseRetryAfter } from './headers/retry-after.ts';
import { redactText } from './redact.ts';
import { readStart } from './wire/body.ts';
import type { RegistryResponse } from './wire/exchange.ts';

/** What a registry says of its refusal (distribution spec, "Error Codes"), validated and shortened. */
export interface RegistryErrors {
  codes: string[];
  /** `CODE: message`, of all errors; the start of the body where it is no error document. */
  text: string;
  /** It is a web page: not the registry has answered, but what stands before it, or another server. */
  isPage?: boolean;
}

/**
 * The body of an error is cut after so many bytes: registries, and whoever answers in their place, may send any amount.
 */
const MAX_ERROR_BYTES = 64 * 1024;
const MAX_TEXT_LENGTH = 300;

/** Reads an OCI error document, or what other servers and gateways send in its place. Never throws. */
export function parseErrors(body: string, secrets: readonly string[] = []): RegistryErrors {
  const errors = errorList(body);
  if (errors === undefined) {
    const stored = storageError(body);
    const isPage = isMarkup(body) && stored === undefined;
    const text = redactText(stored ?? (isPage ? titleOf(body) : body), MAX_TEXT_LENGTH, secrets);
    return { codes: [], text, ...(isPage && { isPage }) };
  }
  const codes: string[] = [];
  const texts: string[] = [];
  for (const error of errors.slice(0, 10)) {
    const { code } = error;
    const name = typeof code === 'string' && /^[A-Za-z0-9_.-]{1,64}$/.test(code) ? code.toUpperCase() : undefined;
    if (name !== undefined) codes.push(name);
    texts.push([name, messageOf(error)].filter((part) => part !== undefined).join(': ') + detailOf(error));
  }
  return { codes, text: redactText(texts.join('; '), MAX_TEXT_LENGTH, secrets) };
}

/** Where errors say what happened: OCI, Spring, OAuth2 (RFC 6749 section 5.2), problem details (RFC 9457). */
const messageFields = ['message', 'detail', 'details', 'error_description', 'error', 'title'];

function messageOf(error: Record<string, unknown>): string | undefined {
  const values = messageFields.map((field) => error[field]);
  return values.find((value): value is string => typeof value === 'string' && value !== '');
}

/** Codes whose message says no more than the code. The others' details repeat the request. */
const vagueCodes = ['UNKNOWN', 'MANIFEST_INVALID', 'MANIFEST_BLOB_UNKNOWN', 'BLOB_UPLOAD_INVALID', 'UNSUPPORTED'];
const MAX_DETAIL_LENGTH = 120;

/**
 * ` (detail)`. For CNCF distribution an error of its storage, or of the registry that it is a cache of, is an "unknown
 * error", and only the detail says which (huecker-io/huecker#8).
 */
function detailOf(error: Record<string, unknown>): string {
  const { code, detail } = error;
  const message = messageOf(error);
  if (message === undefined || !detail) return '';
  if (typeof detail === 'string') return message.includes(detail) ? '' : ` (${detail})`;
  if (!vagueCodes.includes(String(code).toUpperCase()) || Array.isArray(detail)) return '';
  const text = JSON.stringify(detail);
  return text === '{}' ? '' : ` (${text.slice(0, MAX_DETAIL_LENGTH)})`;
}

/** The errors of a document: those in `errors`, or else the document itself where it has a message. */
function errorList(body: string): Array<Record<string, unknown>> | undefined {
  let document: Record<string, unknown>;
  try {
    document = Object(JSON.parse(body));
  } catch {
    return undefined;
  }
  const { errors } = document;
  if (Array.isArray(errors))
    return errors.map((error) => (typeof error === 'string' ? { message: error } : Object(error)));
  if (typeof errors === 'object' && errors !== null) return [{ ...errors }];
  return messageOf(document) === undefined ? undefined : [document];
}

/** The error of a store of blobs (S3, Google, Azure): `Code: Message`. Undefined for any other text. */
function storageError(body: string): string | undefined {
  const field = (name: string) => new RegExp(`<${name}>([^<]{1,300})</${name}>`).exec(body.slice(0, 4096))?.[1];
  const code = field('Code');
  return code && [code, field('Message')?.trim()].filter((part) => part !== undefined).join(': ');
}

/** The title of a web page: what nginx, IIS and company proxies have to say is there. */
function titleOf(page: string): string {
  return /<title[^>]*>([^<]{1,300})</i.exec(page.slice(0, 4096))?.[1]?.trim() ?? '';
}

/** True for the text of a web page, or of an error document in XML. */
export function isMarkup(body: string): boolean {
  return /^\s*</.test(body);
}

/** The error of a web page, with status 200, in place of a document: a login page, a proxy, or another server. */
export function webPage(call: Call): TranshipError {
  const { registry } = call.repository;
  return callError(call, `${registry} answers with a web page`, {
    class: 'transient',
    code: 'protocol',
    mend: `check the name ${registry}, and whether a proxy or a login page answers in its place`,
  });
}

/** The error that a response stands for. Reads its body. */
export async function errorOf(call: Call, response: RegistryResponse): Promise<TranshipError> {
  return refusal(call, response, parseErrors(await readStart(response.body, MAX_ERROR_BYTES), response.secrets));
}

/** The error that a document holds in place of what was asked for, although its status is 200. */
export function errorInside(call: Call, response: RegistryResponse, body: Buffer): TranshipError | undefined {
  // Only what is to be an error is parsed as one: a document of megabytes is parsed by its own reader.
  if (body.length > MAX_ERROR_BYTES || !body.includes('"errors"')) return undefined;
  const errors = parseErrors(body.toString('utf8'), response.secrets);
  return errors.codes.length > 0 ? refusal(call, response, errors) : undefined;
}

/** As {@link errorOf}, for a body that has been read. */
export function refusal(
  call: Call,
  response: Pick<RegistryResponse, 'status' | 'headers' | 'isForeign' | 'url' | 'via'>,
  { codes, text, isPage }: RegistryErrors,
): TranshipError {
  const { status, headers } = response;
  const retryAt = parseRetryAfter(headers['retry-after'], Date.now());
  const classification = response.isForeign ? classifyForeign(response) : classify(status, codes, text);
  // RFC 9110 section 15.6.4: a 503 may say when to come back, as a 429 does.
  const isThrottled =
    classification.class === 'throttled' ||
    (classification.class === 'transient' && status === 503 && retryAt !== undefined);
  const said = isThrottled ? undefined : meaningOf(status, text);
  const errorClass = isThrottled ? 'throttled' : (said?.class ?? classification.class);
  const { isForeign, url } = response;
  const foreign = isForeign && url instanceof URL ? ` from ${url.host}, where the registry sends its clients` : '';
  const where = `${foreign}${response.via === undefined ? '' : ` by way of the proxy ${response.via}`}`;
  const isBeforeIt = isPage && !response.isForeign && [400, 403, 404, 405, 406].includes(status);
  const mend = (isBeforeIt ? pageMend : (said?.mend ?? classification.mend))?.(call);
  return callError(call, `status ${status}${where}${text === '' ? '' : ` (${text})`}`, {
    class: errorClass,
    code: classification.code,
    status,
    ...(codes.length > 0 && { registryCodes: codes }),
    ...(errorClass === 'throttled' && retryAt !== undefined && { retryAt }),
    mend,
  });
}

interface Classification {
  class: ErrorClass;
  code: ErrorCode;
  mend?: (call: Call) => string;
}

/** Error codes that are more precise than the status. */
const byCode: Record<string, Classification> = {
  TOOMANYREQUESTS: { class: 'throttled', code: 'throttled' },
  UNAVAILABLE: { class: 'transient', code: 'server-error' },
  BLOB_UPLOAD_UNKNOWN: { class: 'transient', code: 'protocol', mend: replicasMend },
  BLOB_UPLOAD_INVALID: { class: 'transient', code: 'protocol', mend: replicasMend },
  DIGEST_INVALID: { class: 'transient', code: 'digest-mismatch' },
  SIZE_INVALID: { class: 'transient', code: 'size-mismatch' },
  // The registry does not have what the manifest names: the copy is repeated, and asks for each blob.
  MANIFEST_BLOB_UNKNOWN: { class: 'transient', code: 'blob-unknown' },
  MANIFEST_INVALID: { class: 'permanent', code: 'refused' },
  NAME_INVALID: {
    class: 'permanent',
    code: 'refused',
    mend: ({ repository }) =>
      tooDeepForHub(repository) ??
      `${repository.registry} takes no repository named ${repository.repository}: write another name in the rule`,
  },
};

const byStatus: Record<number, Classification> = {
  401: { class: 'permanent', code: 'unauthorized' },
  403: {
    class: 'permanent',
    code: 'denied',
    mend: ({ repository, access }) =>
      tooDeepForHub(repository) ??
      `the account needs the right to ${repository.repository} at ${repository.registry}: grant it, or give a login that has it${access === 'push' ? '; or create it there, if it is missing' : ''}`,
  },
  405: { class: 'permanent', code: 'unsupported' },
  408: { class: 'transient', code: 'timeout' },
  // Another client changes the same thing at the same time: Google Artifact Registry, Harbor.
  409: { class: 'transient', code: 'refused' },
  413: {
    class: 'permanent',
    code: 'limit-exceeded',
    mend: () => 'raise the body size limit of the registry, or of the proxy before it',
  },
  416: { class: 'transient', code: 'protocol' },
  423: { class: 'transient', code: 'refused' },
  425: { class: 'transient', code: 'server-error' },
  429: { class: 'throttled', code: 'throttled' },
  // nginx: the client closed the connection. Seen where a proxy in front of the registry timed out.
  499: { class: 'transient', code: 'timeout' },
  501: { class: 'permanent', code: 'unsupported' },
};

/**
 * How a limit of requests is worded where neither status nor code says so: Docker Hub's edge with 403 or 503
 * ("HAP429"), GitHub with 403 (secondary rate limit), AWS with 400, Google, and a cache of Docker Hub with 500
 * (huecker-io/huecker#8).
 */
const throttlePattern = /too ?many ?requests|rate.?limit|rate exceeded|throttl|quota exceeded for quota metric/i;

interface Meaning {
  statuses?: number[];
  pattern: RegExp;
  /** Where it is not that of status and code. */
  class?: ErrorClass;
  mend: (call: Call) => string;
}

/** What a person has to do, where the text of a refusal says more than status and code. The first that fits holds. */
const meanings: readonly Meaning[] = [
  {
    // Harbor, while it is cleaned up or backed up.
    statuses: [403],
    pattern: /read.?only mode/i,
    class: 'transient',
    mend: ({ repository: { registry } }) => `${registry} is read-only for now: have that ended there, then \`redrive\``,
  },
  {
    statuses: [401, 403],
    pattern: /(?:token|login|password|credential)\S*(?: has| have| is)? expired/i,
    mend: ({ repository: { registry } }) =>
      `log in to ${registry} again; for a registry of Amazon, Google or Azure, \`provider\` in its auth entry does that by itself`,
  },
  {
    // ACR, GitHub.
    statuses: [403],
    pattern: /client with ip|ip allow.?list|firewall/i,
    mend: ({ repository: { registry } }) => `let the address of this machine through the firewall of ${registry}`,
  },
  {
    // Xray, Harbor, Nexus Firewall. AWS speaks of policies where a right is missing.
    statuses: [403, 412],
    pattern: /blocking policy|vulnerabilit|violat|quarantine/i,
    mend: ({ repository: { registry } }) =>
      `a policy of ${registry} holds it back: allow it there, or leave the tag out of the rule`,
  },
  {
    // nginx, which says so only once the connection stands.
    statuses: [400],
    pattern: /no required ssl certificate was sent|the ssl certificate error/i,
    mend: () =>
      'name a client certificate that it takes as `cert` and `key` in the auth entry of the registry, or put both into certs.d',
  },
  {
    // 28 is ENOSPC, in a detail of CNCF distribution's.
    pattern:
      /quota|upper limit|limit (?:has been )?(?:exceeded|reached)|no space left|"Err":28\b|insufficient storage/i,
    mend: ({ repository: { registry, repository } }) =>
      `${registry} has no room left for ${repository}: delete what is not needed there, or raise its limit`,
  },
];

function meaningOf(status: number, text: string): Meaning | undefined {
  return meanings.find(({ statuses, pattern }) => statuses?.includes(status) !== false && pattern.test(text));
}

/** Docker Hub says "denied" of a name with more parts than it takes. */
export function tooDeepForHub({ registry, repository }: Repository): string | undefined {
  if (registry !== 'docker.io' || repository.split('/').length <= 2) return undefined;
  return `Docker Hub takes NAMESPACE/NAME alone, and ${repository} has more parts: write another name in the rule`;
}

/** The common cause where uploads of one registry are lost again and again. */
function replicasMend({ repository: { registry } }: Call): string {
  return `if ${registry} is several servers behind one address, they need one storage and one secret (CNCF distribution: http.secret)`;
}

function pageMend({ repository: { registry } }: Call): string {
  return `a web page says so, and no registry: check the name ${registry}, and whether a firewall or a proxy refuses the request`;
}

/** Class and code of a registry's refusal, by its status, its error codes and its text. */
export function classify(status: number, codes: readonly string[], text: string): Classification {
  // An error document with status 200 stands for one whose status is lost.
  if (status === 200) return classify(500, codes, text);
  const known = codes.map((code) => byCode[code]).find((classification) => classification !== undefined);
  if (known !== undefined && status >= 400) return known;
  if (status >= 400 && throttlePattern.test(text)) return { class: 'throttled', code: 'throttled' };
  // go-containerregistry transport/error.go: UNKNOWN is worth another try, except where the status is clear.
  if (codes.includes('UNKNOWN') && status >= 400 && ![401, 403, 404].includes(status)) {
    return { class: 'transient', code: 'server-error' };
  }
  if (status === 404) return classifyNotFound(codes, text);
  const classification = byStatus[status];
  if (classification !== undefined) return classification;
  if (status >= 500) return { class: 'transient', code: 'server-error' };
  return status >= 400 ? { class: 'permanent', code: 'refused' } : { class: 'permanent', code: 'protocol' };
}

function classifyNotFound(codes: readonly string[], text: string): Classification {
  if (codes.includes('BLOB_UNKNOWN')) return { class: 'permanent', code: 'blob-unknown' };
  if (codes.some((code) => ['DENIED', 'UNAUTHORIZED'].includes(code))) return { class: 'permanent', code: 'denied' };
  if (isMissing(404, codes, text)) return { class: 'permanent', code: 'not-found' };
  return { class: 'permanent', code: 'refused' };
}

/** `TAG_EXPIRED` is Quay's, of a tag that was deleted. */
const missingCodes = ['MANIFEST_UNKNOWN', 'NAME_UNKNOWN', 'BLOB_UNKNOWN', 'NOT_FOUND', 'TAG_EXPIRED'];

/**
 * Whether a response says that the registry does not have what was asked for: a 404 that says so by its code, or says
 * nothing. `UNKNOWN` with "not found" is registry.redhat.io and Harbor 2.10.2 (containers/image,
 * isManifestUnknownError).
 */
export function isMissing(status: number, codes: readonly string[], text: string): boolean {
  if (status !== 404) return false;
  if (codes.length === 0) return true;
  return codes.some((code) => missingCodes.includes(code) || (code === 'UNKNOWN' && /not found/i.test(text)));
}

/** The refusal of a redirect's target, which mostly is no registry. A new redirect may help: signatures in URLs expire. */
function classifyForeign({
  status,
  headers,
  url,
}: Pick<RegistryResponse, 'status' | 'headers' | 'url'>): Classification {
  if (status === 404 || status === 410) return { class: 'permanent', code: 'blob-unknown' };
  if (status === 429) return { class: 'throttled', code: 'throttled' };
  if (status === 401 && url instanceof URL && bearerChallenge(headers['www-authenticate']) !== undefined) {
    const [, repository] = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(url.pathname) ?? [];
    const name = repository === undefined ? url.host : `${url.host}/${repository}`;
    const mend = () => `the images are at another registry, which wants a login: name ${name} in the rule`;
    return { class: 'permanent', code: 'unauthorized', mend };
  }
  if (status === 401 || status === 403) return { class: 'transient', code: 'denied' };
  return status >= 500 ? { class: 'transient', code: 'server-error' } : { class: 'transient', code: 'refused' };
}
