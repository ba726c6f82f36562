/**
 * How many bytes of an upload a registry has, by the header `Range`: `0-<last>`, inclusive, and `0-0` for none. Quay
 * writes `bytes=` before it. One byte looks like none; nobody sends so small a chunk.
 *
 * @returns undefined where there is no such header, or it makes no sense
 * @see distribution spec, "Pushing a blob in chunks"
 */
export function parseUploadRange(header: string | string[] | undefined): number | undefined {
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(typeof header === 'string' ? header.trim() : '')?.[1];
  if (last === undefined) return undefined;
  return last === '0' ? 0 : Number(last) + 1;
}
