import { type Located, textOf, valueAt } from '../config/located.ts';
import { attempt, report, type UserFile } from '../config/problems.ts';
import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import type { SignatureRequirement } from '../model/requirement.ts';

/** Reads a file that the rules name, by its path from the rules file. */
export type ReadNamed = (path: string) => string;

/**
 * `require:` of a rule. Keys and the trusted root are read here, so that a rule carries all that it needs, also to where
 * its files are not.
 */
export function readRequirement(
  file: UserFile,
  node: Located | undefined,
  readNamed: ReadNamed | undefined,
): SignatureRequirement | undefined {
  if (node === undefined) return undefined;
  const [key, identity, issuer, trustRoot] = ['key', 'identity', 'issuer', 'trustRoot'].map((name) =>
    valueAt(node, name),
  );
  if ((identity === undefined) !== (issuer === undefined)) {
    report(
      file,
      node.offset,
      'identity and issuer belong together',
      'give both: anyone can have an identity confirmed',
    );
  }
  if (key === undefined && identity === undefined) {
    report(file, node.offset, 'the rule requires a signature by nobody', 'give key, or identity and issuer');
  }
  const keyNodes = key === undefined ? [] : key.kind === 'list' ? key.items : [key];
  const keys = keyNodes.flatMap((one) => attempt(file, one.offset, () => readKey(textOf(one), readNamed)) ?? []);
  const root = trustRoot && attempt(file, trustRoot.offset, () => readFile(textOf(trustRoot), readNamed));
  return {
    keys,
    identities: identity && issuer ? [{ identity: textOf(identity), issuer: textOf(issuer) }] : [],
    ...(root !== undefined && { trustRoot: root }),
  };
}

const publicKey = /^\s*-----BEGIN (?:RSA )?PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END (?:RSA )?PUBLIC KEY-----\s*$/;

function readKey(text: string, readNamed: ReadNamed | undefined): string {
  const isPem = text.includes('-----BEGIN');
  const pem = isPem ? text : readFile(text, readNamed);
  if (publicKey.test(pem)) return pem.trim();
  throw configurationError(`${isPem ? 'the key' : quote(text)} is no public key in PEM`, {
    mend: pem.includes('PRIVATE KEY')
      ? 'it is a private key: give the public one, cosign.pub'
      : 'give the file cosign.pub',
  });
}

function readFile(path: string, readNamed: ReadNamed | undefined): string {
  if (readNamed !== undefined) return readNamed(path);
  throw configurationError(`${quote(path)} cannot be read here`, { mend: 'write the key itself, in PEM' });
}
