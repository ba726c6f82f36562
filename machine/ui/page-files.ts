import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { configurationError } from '../../core/model/errors.ts';

export interface PageFile {
  contentType: string;
  bytes: Buffer;
  gzipped: Buffer;
  etag: string;
}

const contentTypes: Record<string, string> = {
  'index.html': 'text/html; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
  'app.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};

/**
 * The files of the page, as `npm run build` makes them, by name.
 * @throws TranshipError `configuration` where they are not there
 */
export async function readPageFiles(directory: string): Promise<Map<string, PageFile>> {
  const files = Object.entries(contentTypes).map(async ([name, contentType]): Promise<[string, PageFile]> => {
    const bytes = await readFile(join(directory, name));
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
    return [name, { contentType, bytes, gzipped: await promisify(gzip)(bytes), etag }];
  });
  try {
    return new Map(await Promise.all(files));
  } catch (cause) {
    throw configurationError(`the files of the status page are not in ${directory}`, {
      mend: 'Make them with npm run build, or install the package anew.',
      cause,
    });
  }
}
