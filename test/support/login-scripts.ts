import type { AuthEntry } from '../../core/model/credentials.ts';
import type { ScriptedRequest } from './scripted-registry.ts';

/** A digest of no bytes in particular. */
export const digest = `sha256:${'a'.repeat(64)}`;
/** A response that has a manifest. */
export const found = {
  headers: { 'docker-content-digest': digest, 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
};
/** A 401 that asks for a token of the same server. */
export const bearer = (extra = '') => ({
  status: 401,
  headers: { 'www-authenticate': `Bearer realm="/token",service="reg"${extra}` },
});
/** The header `Authorization` of a login. */
export const basicOf = (login: AuthEntry) =>
  `Basic ${Buffer.from(`${login.username}:${login.password ?? login.identityToken}`).toString('base64')}`;
export const isToken = ({ url }: ScriptedRequest) => url.startsWith('/token');
