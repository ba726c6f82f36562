/** The part of a whole that a response has; positions count from 0, `end` is the last one. */
export interface ContentRange {
  start: number;
  end: number;
  /** Bytes of the whole; undefined for `*`. */
  total: number | undefined;
}

/**
 * Reads a `Content-Range` of bytes; undefined where there is none or it makes no sense. Never throws.
 * @see RFC 9110 section 14.4
 */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(header?.trim() ?? '');
  if (match === null) return undefined;
  const [start, end] = [Number(match[1]), Number(match[2])];
  const total = match[3] === '*' ? undefined : Number(match[3]);
  return end < start || (total !== undefined && end >= total) ? undefined : { start, end, total };
}
