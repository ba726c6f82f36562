import type { Env } from '../config/expand-env.ts';
import { isEmpty, type Located, type LocatedEntry } from '../config/located.ts';
import { attempt, report, type UserFile } from '../config/problems.ts';
import type { Destination, Rule } from '../model/rule.ts';
import { type DefaultDestination, idFor, parseDestination, selectionOf, uniqueDestinations } from './build-rule.ts';
import { parseImageText } from './image-text.ts';
import type { PlacedRule } from './warnings.ts';

/** Bounds of one file; those of tranship.yaml are in its schema. */
const maxRules = 50_000;
const maxDestinations = 100;

/**
 * Reads image-syncer's images map: a source to a destination or a list of them. What is wrong is noted in `file`.
 * @see https://github.com/AliyunContainerService/image-syncer README.md, "Image sync configuration file"
 */
export function readImages(
  file: UserFile,
  node: Located,
  options: { env: Env; fallback: DefaultDestination },
): PlacedRule[] {
  if (isEmpty(node)) return [];
  if (node.kind !== 'map') {
    report(file, node.offset, 'images must be a map', 'write each rule as source: destination');
    return [];
  }
  if (node.entries.size > maxRules) {
    report(file, node.offset, `the file has more than ${maxRules} rules`, 'divide it');
    return [];
  }
  const taken = new Set<string>();
  const rules: PlacedRule[] = [];
  for (const [text, entry] of node.entries) {
    const placed = readRule(file, text, entry, { ...options, taken });
    if (placed === undefined) continue;
    taken.add(placed.rule.id);
    rules.push(placed);
  }
  return rules;
}

function readRule(
  file: UserFile,
  text: string,
  { keyOffset, value }: LocatedEntry,
  options: { env: Env; fallback: DefaultDestination; taken: Set<string> },
): PlacedRule | undefined {
  const from = attempt(file, keyOffset, () => {
    const image = parseImageText(text);
    return { repository: image.repository, idleTag: image.idleTag, ...selectionOf(image) };
  });
  if (from === undefined) return undefined;
  const to = destinationNodes(file, value).flatMap((node): Destination[] => {
    const written = destinationText(file, node);
    return written === undefined
      ? []
      : (attempt(file, node.offset, () => parseDestination(written, from, options)) ?? []);
  });
  const rule: Rule = {
    id: idFor(text, options.taken),
    from: from.repository,
    select: from.select,
    to: uniqueDestinations(to),
    platforms: { platforms: [], os: [], arch: [] },
  };
  return { rule, offset: keyOffset, idleTag: from.idleTag };
}

function destinationNodes(file: UserFile, value: Located): Located[] {
  if (value.kind !== 'list') return [value];
  if (value.items.length > maxDestinations) {
    report(file, value.offset, `the rule has more than ${maxDestinations} destinations`, 'divide it');
    return [];
  }
  // An empty list is an empty destination (image-syncer pkg/utils/types/imageList.go).
  return value.items.length > 0
    ? value.items
    : [{ kind: 'scalar', value: null, text: '', offset: value.offset, weight: 1 }];
}

function destinationText(file: UserFile, node: Located): string | undefined {
  if (node.kind === 'scalar' && (isEmpty(node) || typeof node.value === 'string')) {
    return isEmpty(node) ? '' : node.text;
  }
  const wanted = 'a destination must be text, or a list of texts';
  if (node.kind === 'map')
    report(file, node.offset, `${wanted}, and is a map`, 'rules with filters go into tranship.yaml');
  else report(file, node.offset, wanted, 'put it in quotes if it looks like a number');
  return undefined;
}
