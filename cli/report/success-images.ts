import { stringify } from 'yaml';
import { formatTarget } from '../../core/model/reference.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';

/**
 * What was copied, as rules that image-syncer and this command read: source to list of destinations, sources sorted.
 * Tags that were in step already are not in it, as in image-syncer (pkg/client/client.go, Run;
 * pkg/utils/types/imageList.go).
 */
export function renderSuccessImages(outcomes: Iterable<Outcome>, format: 'yaml' | 'json'): string {
  const destinations = new Map<string, Set<string>>();
  for (const { result, source, destination } of outcomes) {
    if (result !== 'copied') continue;
    const key = formatTarget(source);
    const known = destinations.get(key) ?? new Set();
    destinations.set(key, known.add(formatTarget(destination)));
  }
  const sorted = [...destinations]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, to]) => [source, [...to]] as const);
  const images = Object.fromEntries(sorted);
  if (format === 'json') return `${JSON.stringify(images)}\n`;
  // Lists not indented and lines never folded, as Go's yaml.v2 writes them.
  return stringify(images, { indentSeq: false, lineWidth: 0 });
}
