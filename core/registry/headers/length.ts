/** A header that is a number of bytes; undefined where there is none or it makes no sense. */
export function parseLength(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}
