import { readFileSync } from 'node:fs';
import { decodeText } from '../../core/config/decode-text.ts';
import { looksOwn } from '../../core/config/own-file.ts';
import { mayExist } from './file-path.ts';
import type { FileLook } from './rule-files.ts';

/** The files of the working directory. One that cannot be read counts as meant: why not is told when it is read. */
export const lookHere: FileLook = {
  exists: mayExist,
  isOwn(path, name) {
    let text: string;
    try {
      text = decodeText(readFileSync(path), path);
    } catch {
      return true;
    }
    return looksOwn(name, text);
  },
};
