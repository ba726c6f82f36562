import type { Digest } from '../model/reference.ts';

const byteUnits = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `0 B`, `999 B`, `28.1 MiB`: three to four digits, powers of 1024. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.max(0, Math.round(bytes))} B`;
  let value = bytes;
  let unit = -1;
  // 999.5 and not 1024, so that no unit ever shows four digits.
  while ((unit < 0 || value >= 999.5) && unit < byteUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(value < 99.95 ? 1 : 0)} ${byteUnits[unit]}`;
}

/** `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`: the two largest units. */
export function formatDuration(ms: number): string {
  const tenths = Math.round(Math.max(0, ms) / 100);
  if (tenths < 100) return `${tenths / 10} s`;
  const seconds = Math.round(tenths / 10);
  const parts: Array<[number, string]> = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

/** `1 tag`, `2 tags`, `1,204 tags`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** With commas from 1,000 on, whatever the locale. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Enough of a digest to tell blobs of one screen apart: `sha256:4f4fb700`. */
export function shortDigest(digest: Digest): string {
  return digest.slice(0, digest.indexOf(':') + 9);
}

/** What is left, no more exact than such a guess can be: `5 s`, `40 s`, `3 min`, `2 h 10 min`. */
export function formatRemaining(ms: number): string {
  const step = ms < 60_000 ? 5000 : ms < 600_000 ? 30_000 : 300_000;
  return formatDuration(Math.max(1, Math.round(ms / step)) * step);
}
