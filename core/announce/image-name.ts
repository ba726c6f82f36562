/** What the parts of `host/repository[:tag][@digest]` are, unchecked. */
export interface ImageName {
  registry: string;
  repository: string;
  tag?: string;
  digest?: string;
}

/** The name without `https://` or `http://` in front: Harbor and Quay may write it as a URL. */
export function withoutScheme(name: string): string {
  return name.replace(/^https?:\/\//i, '');
}

/**
 * Splits the image name of a payload. Unlike people's references it always begins with a host, even one without a dot.
 * Old Harbors write `repository:sha256:…` (goharbor/harbor#11713), GitHub leaves a colon with nothing behind it.
 */
export function splitImageName(name: string): ImageName {
  const text = withoutScheme(name);
  const slash = text.indexOf('/');
  const rest = text.slice(slash + 1);
  const at = rest.indexOf('@');
  const named = at === -1 ? rest : rest.slice(0, at);
  const byDigest = /:(sha256:[0-9a-f]{64})$/.exec(named);
  const colon = byDigest?.index ?? named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = byDigest === null && colon !== -1 ? named.slice(colon + 1) : '';
  const digest = byDigest?.[1] ?? (at === -1 ? '' : rest.slice(at + 1));
  return {
    registry: text.slice(0, Math.max(slash, 0)),
    repository: colon === -1 ? named : named.slice(0, colon),
    ...(tag !== '' && { tag }),
    ...(digest !== '' && { digest }),
  };
}

/** Host and port of a URL; undefined where it is none. */
export function hostOf(url: string | undefined): string | undefined {
  const host = url === undefined ? undefined : URL.parse(url)?.host;
  return host === '' ? undefined : host;
}
