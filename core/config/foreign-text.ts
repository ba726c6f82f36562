import { findOddCharacter } from '../model/quote.ts';

/** What a text is that is neither YAML nor JSON, or what breaks it, at its offset. */
export interface ForeignText {
  offset: number;
  what: string;
  mend: string;
}

/** Each takes linear time and no stack: the text may be 8 MiB long. */
const signs: Array<{ sign: RegExp; what: string; mend: string }> = [
  { sign: /^<{7} /m, what: 'this is a conflict marker of git', mend: 'resolve the conflict first' },
  {
    sign: /^\s*<(?:!doctype|html|\?xml)/i,
    what: 'this is an HTML or XML page',
    mend: 'download the file itself: a log-in page or an error may have been saved in its place',
  },
  { sign: /^\s*\$ANSIBLE_VAULT;/, what: 'this is encrypted by Ansible Vault', mend: 'decrypt it first' },
  { sign: /^\s*-----BEGIN PGP MESSAGE/, what: 'this is encrypted by PGP', mend: 'decrypt it first' },
  { sign: /^\s*-----BEGIN /, what: 'this is PEM text, such as a key or a certificate', mend: 'check the path' },
  {
    sign: /\{[{%][^{}\n]{0,200}[%}]\}/,
    what: 'this is a template that was not filled in',
    mend: 'render it, and give the result',
  },
  {
    sign: /^FROM[ \t]+\S+(?:[ \t]+AS[ \t]+\S+)?[ \t\r]*$/im,
    what: 'this is a Dockerfile',
    mend: 'write rules as source: destination',
  },
  { sign: /^\[\[?[\w."-]+\]?\]\s*$/m, what: 'this is TOML or INI', mend: 'write YAML or JSON' },
  { sign: /^(?:export )?[A-Z_][A-Z0-9_]*=/m, what: 'this is a file of variables', mend: 'write YAML or JSON' },
];

/**
 * Why a text cannot be read that yaml's parser refuses, or takes for one long word.
 * @returns undefined where nothing is known that is better than what the parser says
 */
export function describeForeignText(text: string): ForeignText | undefined {
  for (const { sign, what, mend } of signs) {
    const match = sign.exec(text);
    if (match !== null) return { offset: match.index, what, mend };
  }
  return describeComment(text) ?? describeOddSpelling(text) ?? describeMissingBlank(text) ?? describeLoneSource(text);
}

/** A comment of JavaScript in what begins as JSON: YAML takes it for a part of the key behind it. */
export function describeComment(text: string): ForeignText | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (inString) {
      if (character === '\\') at += 1;
      else if (character === '"' || character === '\n') inString = false;
    } else if (character === '"') {
      inString = true;
    } else if (character === '/' && /^[\s,{[]\/[/*]$/.test(text.slice(at - 1, at + 2))) {
      return {
        offset: at,
        what: `JSON has no comments with ${text.slice(at, at + 2)}`,
        mend: 'take the comment out, or begin it with #',
      };
    }
  }
  return undefined;
}

/** Characters of other blanks, quotes and colons than YAML's, outside of comments. */
function describeOddSpelling(text: string): ForeignText | undefined {
  for (const { 0: part, index } of text.matchAll(/(?:^|[ \t])#.*|[\p{Cf}\u00a0\u2000-\u200a\u202f\u3000：，“”‘’]/gmu)) {
    const odd = findOddCharacter(part);
    if (odd === undefined || part.length > 1) continue;
    return { offset: index, what: `there is ${odd.name} here`, mend: odd.mend };
  }
  return undefined;
}

/** `source:destination`, which YAML takes for one word. */
function describeMissingBlank(text: string): ForeignText | undefined {
  const match = /^[^\s#:"'{}[\],]+(?::\d+\/[^\s#:]+)?:(?!\d+\/)(?=[^\s:/]+\/)/m.exec(text);
  if (match === null) return undefined;
  return { offset: match.index, what: 'there is no blank after the colon', mend: 'write it as source: destination' };
}

/** `redis:7` on a line of its own, as a list of images has it. */
function describeLoneSource(text: string): ForeignText | undefined {
  if (/^\s*[[{]/.test(text)) return undefined;
  const match = /^[a-z0-9$](?=[^\s#"'{}[\],:/]*[:/])[^\s#"'{}[\],]*(?<!:)[ \t]*(?:#.*)?\r?$/im.exec(text);
  if (match === null) return undefined;
  return { offset: match.index, what: 'there is no destination on this line', mend: 'write it as source: destination' };
}
