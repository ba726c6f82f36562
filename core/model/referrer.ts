import { type Digest, parseDigest } from './reference.ts';

/** Which artifacts that refer to an image come along with it. */
export interface ReferrerChoice {
  /** {@link referrerKinds}, or artifact types, in which `*` stands for any text. Empty: none come along. */
  types: string[];
  /** How long an image whose referrers are known is not asked about again, in ms. */
  recheckMs?: number;
}

/** Words for what people attach to images; `core/copy/referrer-types.ts` has their artifact types. */
export const referrerKinds = ['signatures', 'attestations', 'sboms'] as const;
export type ReferrerKind = (typeof referrerKinds)[number];

/** So many kinds and artifact types can one rule name. */
export const MOST_REFERRER_TYPES = 50;

/** What comes along where a rule does not say. */
export const defaultReferrers: ReferrerChoice = { types: [...referrerKinds] };

/** cosign's tags beside an image, by what is behind them. */
export const siblingSuffixes: Readonly<Record<string, ReferrerKind>> = {
  '.sig': 'signatures',
  '.att': 'attestations',
  '.sbom': 'sboms',
};

/**
 * The tag of the index of all that refers to a manifest, where the registry has no API for it.
 * @see distribution spec, "Referrers Tag Schema"
 */
export function referrersTag(subject: Digest): string {
  const { algorithm, hex } = parseDigest(subject);
  return `${algorithm}-${hex.slice(0, 64)}`;
}

const referrerTagPattern = /^sha(?:256|512)-[0-9a-f]{64,128}(\.[a-z]+)?$/;

/**
 * Whether a tag is that of a signature, an attestation, an SBOM or a referrers index: those that come along with their
 * image. Others of the kind are tags like any other: imgpkg keeps the images of a bundle as `sha256-<hex>.imgpkg`.
 */
export function isReferrerTag(tag: string): boolean {
  const match = referrerTagPattern.exec(tag);
  return match !== null && (match[1] === undefined || Object.hasOwn(siblingSuffixes, match[1]));
}

/** The manifest that a tag of a signature, an attestation, an SBOM or a referrers index speaks of. */
export function subjectOfTag(tag: string): Digest | undefined {
  const [, hex, suffix] = /^sha256-([0-9a-f]{64})(\.[a-z]+)?$/.exec(tag) ?? [];
  if (hex === undefined || (suffix !== undefined && !Object.hasOwn(siblingSuffixes, suffix))) return undefined;
  return `sha256:${hex}`;
}
