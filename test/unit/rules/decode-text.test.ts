import { describe, expect, it } from 'vitest';
import { decodeText } from '../../../core/config/decode-text.ts';
import { loadRules } from '../../../core/rules/load-rules.ts';

const text = '# Spiegel für nginx\r\nnginx: r.io/nginx\r\n';

function utf16(order: 'le' | 'be', mark: boolean): Buffer {
  const bytes = Buffer.from(`${mark ? '\uFEFF' : ''}${text}`, 'utf16le');
  return order === 'le' ? bytes : bytes.swap16();
}

function refusal(bytes: Uint8Array): string {
  try {
    decodeText(bytes, 'images.yaml');
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('accepted');
}

describe('the bytes of a file', () => {
  it.each([
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with a byte order mark', Buffer.from(`\uFEFF${text}`)],
    ["UTF-16, as PowerShell's > writes it", utf16('le', true)],
    ['UTF-16, big end first', utf16('be', true)],
    ['UTF-16 without a mark', utf16('le', false)],
    ['UTF-16, big end first, without a mark', utf16('be', false)],
  ])('are read as %s', (_, bytes) => {
    const read = decodeText(bytes, 'images.yaml');
    expect(read).toBe(text);
    expect(loadRules(read, { file: 'images.yaml', env: {} })).toMatchObject({ rules: [{ id: 'nginx' }], warnings: [] });
  });

  it.each([
    ['of a file full of NULs', Buffer.alloc(4096), 'it holds nothing but NULs'],
    ['of a file with a hole', Buffer.from('nginx: r.io/nginx\n\0\0\0\0'), 'it has NULs in it'],
    ['of an archive', Buffer.from('1f8b0800000000000003', 'hex'), 'line 1 is not UTF-8'],
    ['in Latin-1', Buffer.from('a: r.io/a\n# für b\n', 'latin1'), 'line 2 is not UTF-8'],
    ['in UTF-32', Buffer.from('fffe00006e000000', 'hex'), 'UTF-32'],
    ['of UTF-16 that is cut off', utf16('le', true).subarray(0, 41), 'begins as UTF-16LE'],
  ])('%s are refused', (_, bytes, why) => {
    expect(refusal(bytes)).toMatch(/^images\.yaml cannot be read as text: /);
    expect(refusal(bytes)).toContain(why);
  });

  it('of an empty file are no text', () => {
    expect(decodeText(new Uint8Array(), 'images.yaml')).toBe('');
  });
});
