/** Headers by name; those that are undefined are left out. */
export type RequestHeaders = Record<string, string | undefined>;

const notInTarget = /[^\x21-\x7e]/;
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * A request's head as it goes out, one latin1 character a byte.
 * @param fields as {@link formatFields} makes them, one text or several
 * @throws Error where something in it would end a line: nothing of that is ever sent
 */
export function formatRequestHead(method: string, target: string, ...fields: string[]): string {
  if (notInTarget.test(target)) throw new Error('the path of a request has bytes that it must not have');
  return `${method} ${target} HTTP/1.1\r\n${fields.join('')}\r\n`;
}

/**
 * Headers as they go out, each with its line end.
 * @throws Error as {@link formatRequestHead}
 */
export function formatFields(headers: RequestHeaders): string {
  let fields = '';
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    if (notInValue.test(value)) throw new Error(`the header ${name} has bytes that it must not have`);
    fields += `${name}: ${value}\r\n`;
  }
  return fields;
}
