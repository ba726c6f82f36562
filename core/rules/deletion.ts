import { parseDuration } from '../config/duration.ts';
import { type Located, textOf, valueAt } from '../config/located.ts';
import { report, type UserFile } from '../config/problems.ts';
import { quote } from '../model/quote.ts';
import type { DeletionPolicy, TagSelection } from '../model/rule.ts';

const DEFAULT_MAX: DeletionPolicy['max'] = { percent: 10 };

/** `delete:` of a rule in its two forms: a word, or a map. What is wrong is noted in `file`. */
export function readDeletion(
  file: UserFile,
  node: Located | undefined,
  select: TagSelection,
): DeletionPolicy | undefined {
  if (node === undefined) return undefined;
  const tagsNode = node.kind === 'map' ? valueAt(node, 'tags') : node;
  const tags = tagsNode !== undefined && textOf(tagsNode) === 'unselected' ? 'unselected' : 'mirror';
  const { offset } = tagsNode ?? node;
  if (select.kind === 'digest') {
    report(file, offset, 'a digest cannot be deleted at its source and come back', 'leave delete out, or name tags');
  } else if (select.kind === 'tags' && tags === 'mirror') {
    const mend = 'write delete: unselected, and take tags out of the list that are to go';
    report(file, offset, 'the rule lists its tags, so one that is gone at the source is a failure', mend);
  }
  const keep = valueAt(node, 'keep');
  const olderThanMs = readAge(file, valueAt(node, 'olderThan'));
  return {
    tags,
    max: readMax(file, valueAt(node, 'max')),
    ...(keep !== undefined && { keep: Number(textOf(keep)) }),
    ...(olderThanMs !== undefined && { olderThanMs }),
  };
}

function readMax(file: UserFile, node: Located | undefined): DeletionPolicy['max'] {
  if (node === undefined) return DEFAULT_MAX;
  const text = textOf(node).trim();
  const [, number, percent] = /^(\d{1,9}(?:\.\d{1,3})?) ?(%?)$/.exec(text) ?? [];
  const value = Number(number);
  if (percent === '%' && value <= 100) return { percent: value };
  if (percent === '' && Number.isInteger(value)) return { count: value };
  report(file, node.offset, `${quote(text)} is not a number of tags or a share of them`, 'write it as 20 or 10%');
  return DEFAULT_MAX;
}

function readAge(file: UserFile, node: Located | undefined): number | undefined {
  if (node === undefined) return undefined;
  const text = textOf(node);
  const ms = parseDuration(text);
  if (ms === undefined) {
    report(file, node.offset, `${quote(text)} is not a time of at most a year`, 'write it as 90d or 12h');
  }
  return ms;
}
