/** Who must have signed an image for it to be copied. One signature by any of them is enough. */
export interface SignatureRequirement {
  /** Public keys, PEM. */
  keys: string[];
  /** Identities that a certificate authority confirmed (keyless signing). */
  identities: SignerIdentity[];
  /** A Sigstore trusted root, JSON: who may confirm identities. Default: that of the public instance. */
  trustRoot?: string;
}

export interface SignerIdentity {
  /** The certificate's subject: an address or URI, in which `*` stands for any text. */
  identity: string;
  /** The OpenID issuer that confirmed it, exactly. */
  issuer: string;
}
