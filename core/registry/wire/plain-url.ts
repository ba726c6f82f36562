/** Characters of which nothing is changed when a URL is read. */
const plain = /^[\w\-./:@?=&%~+,]{1,16384}$/;

/** True for a URL, or a path with its query, that goes out as it is: none of its characters is escaped or dropped. */
export function isPlainUrl(text: string): boolean {
  return plain.test(text);
}
