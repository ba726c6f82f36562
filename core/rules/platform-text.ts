import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import type { PlatformFilter } from '../model/rule.ts';

/** `os/architecture[/variant]`. */
export const platformPattern = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/;

/** What each part of a filter looks like; `image-spec/image-index.md` and Go's GOOS, GOARCH name the values. */
const shapes: Record<keyof PlatformFilter, { pattern: RegExp; example: string }> = {
  platforms: { pattern: platformPattern, example: 'linux/amd64 or linux/arm64/v8' },
  os: { pattern: /^[a-z0-9]+(?::[A-Za-z0-9._-]+)?$/, example: 'linux or windows:10.0.17763.1' },
  arch: { pattern: /^[a-z0-9_]+(?::[a-z0-9.]+)?$/, example: 'amd64 or arm:v7' },
};

/** Names people know from elsewhere, by which no image is listed: of the kernel, of distributions, of Docker's namespaces. */
const misnomers = new Map([
  ['x86_64', 'amd64'],
  ['x86-64', 'amd64'],
  ['x64', 'amd64'],
  ['aarch64', 'arm64'],
  ['armv8', 'arm64'],
  ['arm64v8', 'arm64'],
  ['i386', '386'],
  ['i686', '386'],
  ['x86', '386'],
  ['armhf', 'arm/v7'],
  ['armv7', 'arm/v7'],
  ['armv7l', 'arm/v7'],
  ['arm32v7', 'arm/v7'],
  ['armv6', 'arm/v6'],
  ['armv6l', 'arm/v6'],
  ['arm32v6', 'arm/v6'],
  ['armel', 'arm/v5'],
  ['armv5', 'arm/v5'],
  ['arm32v5', 'arm/v5'],
  ['ppc64el', 'ppc64le'],
  ['macos', 'darwin'],
]);

/**
 * A checked value of a platform filter.
 * @param part which list of the filter it stands in: they are written differently
 * @throws TranshipError `config-invalid`
 */
export function parsePlatformText(part: keyof PlatformFilter, text: string): string {
  const { pattern, example } = shapes[part];
  const mend = mendFor(part, text);
  if (text.length <= 100 && pattern.test(text) && mend === undefined) return text;
  throw configurationError(
    `${quote(text)} is not ${{ platforms: 'a platform', os: 'an OS', arch: 'an architecture' }[part]}`,
    { mend: mend ?? `write it like ${example}` },
  );
}

function mendFor(part: keyof PlatformFilter, text: string): string | undefined {
  const written = (name: string) => (part === 'arch' ? name.replace('/', ':') : name);
  const misnomer = text.split(/[/:]/).find((word) => misnomers.has(word));
  if (misnomer !== undefined) return `${misnomer} is ${written(misnomers.get(misnomer) ?? '')} here`;
  const [, name, letter, number] = /(?:^|\/)(arm(?:64)?)[/:](v?)(\d)$/.exec(text) ?? [];
  const isWrong = letter === '' || (part === 'arch' && text.includes('/'));
  return name !== undefined && isWrong ? `write ${written(`${name}/v${number}`)}` : undefined;
}
