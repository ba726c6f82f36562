/** Headers by name; those that are undefined are left out. */
export type RequestHeaders = Record<string, string | undefined>;

const notInTarget = /[^\x21-\x7e]/;
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Request line and headers as they go out, one latin1 character a byte.
 * @throws Error where something in it would end a line: nothing of that is ever sent
 */
export function formatRequestHead(method: string, target: string, headers: RequestHeaders): string {
  if (notInTarget.test(target)) throw new Error('the path of a request has bytes that it must not have');
  let head = `${method} ${target} HTTP/1.1\r\n`;
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    if (notInValue.test(value)) throw new Error(`the header ${name} has bytes that it must not have`);
    head += `${name}: ${value}\r\n`;
  }
  return `${head}\r\n`;
}
