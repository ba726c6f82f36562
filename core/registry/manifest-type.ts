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

/** What servers say that do not know what they serve. */
const generic = ['application/json', 'text/plain', 'application/octet-stream', 'text/html'];
/** RFC 6838 section 4.2, and no longer than anyone's. */
const mediaTypePattern = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;

/** A media type without parameters, lower case; undefined where it is none, or a generic one. */
export function specificType(header: string | undefined): string | undefined {
  const type = header?.split(';', 1)[0]?.trim().toLowerCase();
  return type === undefined || generic.includes(type) || !mediaTypePattern.test(type) ? undefined : type;
}

/**
 * Which media type a manifest has: what the registry says, which must not contradict what the body says of itself; where
 * the registry says nothing, the body's own `mediaType`, or its structure.
 *
 * @returns the type, or why there is none: CVE-2021-41190, one document that is an index to one reader and an image to another
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
  const inside = typeof body.mediaType === 'string' ? specificType(body.mediaType) : undefined;
  if (inside === undefined && body.mediaType !== undefined) return { fault: 'its `mediaType` is not a media type' };
  if (stated !== undefined && inside !== undefined && stated !== inside) {
    return { fault: `it says ${inside} of itself, and the registry says ${stated}` };
  }
  const mediaType = stated ?? inside ?? typeByStructure(body);
  if (mediaType === undefined) return { fault: 'the registry does not say its media type, nor does it itself' };
  if (isIndexType(mediaType) ? 'layers' in body : 'manifests' in body && !isSchema1Type(mediaType)) {
    return { fault: `it is not what its media type ${mediaType} says` };
  }
  return { mediaType };
}

function typeByStructure(body: Record<string, unknown>): string | undefined {
  if (body.schemaVersion === 1) return 'signatures' in body ? DOCKER_SCHEMA1_SIGNED : DOCKER_SCHEMA1;
  if (body.schemaVersion !== 2) return undefined;
  if (Array.isArray(body.manifests)) return typesInside(body.manifests) ? DOCKER_LIST : OCI_INDEX;
  if (Array.isArray(body.layers)) return typesInside([body.config]) ? DOCKER_MANIFEST : OCI_MANIFEST;
  return undefined;
}

/** Are the descriptors Docker's? Its own documents always carry `mediaType`, but proxies have been seen to strip headers. */
function typesInside(descriptors: unknown[]): boolean {
  return descriptors.some((entry) => String(Object(entry).mediaType).startsWith('application/vnd.docker.'));
}
