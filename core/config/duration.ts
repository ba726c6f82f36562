const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A duration as people and Go write it: `90s`, `15m`, `1h30m`, `2d`, and `0`.
 * @returns milliseconds, or undefined where it is not one, or longer than a year
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(?:\d{1,9}(?:\.\d{1,3})?(?:ms|s|min|m|h|d)){1,5}$/.test(text)) return undefined;
  let ms = 0;
  for (const [, number, unit = ''] of text.matchAll(/([\d.]+)([a-z]+)/g)) ms += Number(number) * (unitMs[unit] ?? 0);
  return ms > 366 * 86_400_000 ? undefined : Math.round(ms);
}
