import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  isIndexType,
  isSchema1Type,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../model/media-types.ts';

/**
 * The types of manifests are in the vendor tree, all of them (RFC 6838 sections 3.2 and 4.2). Anything else is said by
 * servers that do not know what they serve: `application/json`, `binary/octet-stream` of S3, `application/x-tar` by the
 * end of the tag.
 */
const specificPattern = /^application\/vnd\.[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;

/**
 * The media type that a header or a document states, without parameters, in lower case; undefined where it is a generic
 * one.
 */
export function specificType(header: string | undefined): string | undefined {
  const type = header?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return specificPattern.test(type) ? type : undefined;
}

/**
 * Which media type a manifest has: the body's own `mediaType`; where it has none, what the registry says, or its
 * structure. Registry and body must not name different kinds.
 *
 * @returns the type, or why there is none. In CVE-2021-41190 one document was an index to one reader and an image to
 *   another
 */
export function typeOfManifest(
  bytes: Buffer,
  contentType: string | undefined,
): { mediaType: string } | { fault: string } {
  let body: Record<string, unknown>;
  try {
    body = Object(JSON.parse(bytes.toString('utf8')));
  } catch {
    return { fault: 'it is not JSON' };
  }
  if ('manifests' in body && 'layers' in body) return { fault: 'it has both `manifests` and `layers`' };
  const stated = specificType(contentType);
  const { mediaType: own = '' } = body;
  if (typeof own !== 'string' || (own !== '' && !/^[\w.+-]+\/[\w.+-]+$/.test(own))) {
    return { fault: 'its `mediaType` is not a media type' };
  }
  const inside = specificType(own);
  if (stated !== undefined && inside !== undefined && stated !== inside && !areOneKind(stated, inside)) {
    return { fault: `it says ${inside} of itself, and the registry says ${stated}` };
  }
  const mediaType = inside ?? stated ?? typeByStructure(body);
  if (mediaType === undefined) return { fault: 'the registry does not say its media type, nor does it itself' };
  if (isIndexType(mediaType) ? 'layers' in body : 'manifests' in body && !isSchema1Type(mediaType)) {
    return { fault: `it is not what its media type ${mediaType} says` };
  }
  return { mediaType };
}

/**
 * Both are images, or both are indexes: OCI's format is Docker's, so nobody reads one as something else. Gateways are
 * known to say Docker's type of everything (apache/dolphinscheduler#14383, scarf.sh).
 */
function areOneKind(one: string, other: string): boolean {
  const kinds = [
    [OCI_MANIFEST, DOCKER_MANIFEST],
    [OCI_INDEX, DOCKER_LIST],
  ];
  return kinds.some((kind) => kind.includes(one) && kind.includes(other));
}

function typeByStructure(body: Record<string, unknown>): string | undefined {
  if (body.schemaVersion === 1) return 'signatures' in body ? DOCKER_SCHEMA1_SIGNED : DOCKER_SCHEMA1;
  if (body.schemaVersion !== 2) return undefined;
  if (Array.isArray(body.manifests)) return typesInside(body.manifests) ? DOCKER_LIST : OCI_INDEX;
  if (Array.isArray(body.layers)) return typesInside([body.config]) ? DOCKER_MANIFEST : OCI_MANIFEST;
  return undefined;
}

/** True where a descriptor has a type of Docker's. */
function typesInside(descriptors: unknown[]): boolean {
  return descriptors.some((entry) => String(Object(entry).mediaType).startsWith('application/vnd.docker.'));
}
