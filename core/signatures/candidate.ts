/** Something that claims to be a signature of an image; nothing of it is trusted. */
export type Candidate =
  /** A Sigstore bundle, JSON. */
  | { kind: 'bundle'; text: string }
  /** cosign's older format: what was signed, and the signature with its proofs in the layer's annotations. */
  | { kind: 'simple'; payload: Buffer; annotations: Record<string, string> };

/** Why a candidate does not count; or undefined where it does. */
export type Verdict = string | undefined;
