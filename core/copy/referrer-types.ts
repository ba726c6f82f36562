import type { Descriptor } from '../model/manifest.ts';
import { type ReferrerChoice, type ReferrerKind, siblingSuffixes } from '../model/referrer.ts';
import { compilePattern } from '../rules/pattern.ts';

/**
 * Artifact types in use: cosign and Sigstore's bundles, which hold signatures or attestations, Notary, in-toto, SPDX,
 * CycloneDX, Syft.
 */
const typesOfKind: Record<ReferrerKind, string[]> = {
  signatures: [
    'application/vnd.dev.sigstore.bundle*',
    'application/vnd.dev.cosign.artifact.sig*',
    'application/vnd.dev.cosign.simplesigning*',
    'application/vnd.cncf.notary*',
  ],
  attestations: [
    'application/vnd.dev.sigstore.bundle*',
    'application/vnd.dev.cosign.artifact.att*',
    'application/vnd.in-toto*',
    'application/vnd.dsse*',
    '*vex*',
  ],
  sboms: ['*spdx*', '*cyclonedx*', '*syft*', '*sbom*'],
};

/**
 * Types that say nothing of what is inside. Writers of referrers indexes are known to note the configuration's type in
 * place of the artifact's (sigstore/cosign#4641), so the manifest itself is to be looked at.
 */
const generic = /^$|^application\/vnd\.oci\.(?:empty|image\.(?:config|manifest|index))\.v1\+json$|^application\/json$/;

const compiled = new WeakMap<ReferrerChoice, Array<(type: string) => boolean>>();

/** Whether a choice takes artifacts of a type. */
export function wantsType(choice: ReferrerChoice, artifactType: string): boolean {
  let tests = compiled.get(choice);
  if (tests === undefined) {
    const types = choice.types.flatMap((type) =>
      Object.hasOwn(typesOfKind, type) ? typesOfKind[type as ReferrerKind] : [type],
    );
    tests = types.map((text) => compilePattern({ kind: 'glob', text }));
    compiled.set(choice, tests);
  }
  return tests.some((fits) => fits(artifactType));
}

/** Whether what a list of referrers says of an artifact leaves it possible that the choice takes it. */
export function mayWant(choice: ReferrerChoice, { artifactType = '' }: Descriptor): boolean {
  return choice.types.length > 0 && (generic.test(artifactType) || wantsType(choice, artifactType));
}

/** The suffixes of cosign's tags that a choice takes. */
export function wantedSuffixes(choice: ReferrerChoice): string[] {
  return Object.keys(siblingSuffixes).filter(
    (suffix) => choice.types.includes('*') || choice.types.includes(siblingSuffixes[suffix] ?? ''),
  );
}
