import { createHash } from 'node:crypto';
import { isIndexType, MANIFEST_TYPES } from '../../../core/model/media-types.ts';
import { formatTarget } from '../../../core/model/reference.ts';
import { createSlots } from '../../../core/model/slots.ts';
import { countEnded, type Outcome, type RunRecord } from '../../../core/pipeline/ports/runs.ts';

/** A repository of a registry, with a client of the test's own, not the product's. */
export interface Place {
  url: string;
  repository: string;
  /** `Basic …`, where the registry wants one. */
  authorization?: string;
}

const REQUESTS_AT_ONCE = 16;

/**
 * Compares every tag of two repositories with its source, by digests worked out from the bytes, and looks that the
 * destination has all blobs of what it has.
 *
 * @param options.without tags that are not to be there
 * @returns what is wrong
 */
export async function auditCopies(
  source: Place,
  destination: Place,
  options: { without?: string[] } = {},
): Promise<string[]> {
  const { without = [] } = options;
  const [wanted, present] = await Promise.all([tagsOf(source), tagsOf(destination)]);
  const problems = present.filter((tag) => !wanted.includes(tag)).map((tag) => `${tag}: not at the source`);
  const slots = createSlots(REQUESTS_AT_ONCE);
  const seen = new Map<string, Promise<string[]>>();
  await Promise.all(
    wanted.map((tag) =>
      slots(async () => {
        if (without.includes(tag)) {
          if (present.includes(tag)) problems.push(`${tag}: should not be there`);
          return;
        }
        if (!present.includes(tag)) {
          problems.push(`${tag}: missing`);
          return;
        }
        const [from, to] = await Promise.all([readManifest(source, tag), readManifest(destination, tag)]);
        if (from.digest !== to.digest) problems.push(`${tag}: ${to.digest} where the source has ${from.digest}`);
        const parts = seen.get(to.digest) ?? missingParts(destination, to);
        seen.set(to.digest, parts);
        problems.push(...(await parts).map((part) => `${tag}: ${part}`));
      }),
    ),
  );
  return problems.sort();
}

/**
 * Looks that the counters of an ended run are what its report and the plan say: every planned destination tag once.
 *
 * @param rows all outcomes that the ledger has of it
 * @param announced details of the events that told of its end
 * @param planned how many destination tags there were to plan
 * @returns what is wrong
 */
export function auditRun(
  run: RunRecord | undefined,
  rows: Outcome[],
  announced: RunRecord[],
  planned: number,
): string[] {
  if (run === undefined) return ['there is no such run'];
  const problems: string[] = [];
  const expect = (what: string, actual: unknown, wanted: unknown) => {
    if (actual !== wanted) problems.push(`${what}: ${actual}, not ${wanted}`);
  };
  const { counts } = run;
  const having = (result: Outcome['result']) => rows.filter((row) => row.result === result).length;
  const rowKeys = rows.map((row) => `${row.ruleId} ${formatTarget(row.destination)}`);
  expect('state', run.state, 'done');
  expect('planned', counts.planned, planned);
  expect('destinations reported twice', rowKeys.length - new Set(rowKeys).size, 0);
  expect('outcomes', countEnded(counts), planned);
  expect('copied', counts.copied, having('copied'));
  expect('deleted', counts.deleted, having('deleted'));
  expect('failed', counts.failed, having('failed'));
  expect('deferred', counts.deferred, having('deferred'));
  expect(
    'bytes',
    counts.bytes,
    rows.reduce((sum, { bytes }) => sum + bytes, 0),
  );
  expect('announcements', announced.length, 1);
  expect('announced counts', JSON.stringify(sorted(announced[0]?.counts)), JSON.stringify(sorted(counts)));
  return problems;
}

function sorted(counts: object | undefined): unknown {
  return Object.entries(counts ?? {}).sort();
}

async function get({ url, authorization }: Place, path: string, method = 'GET'): Promise<Response> {
  const headers = { accept: MANIFEST_TYPES.join(', '), ...(authorization !== undefined && { authorization }) };
  return fetch(new URL(path, url), { method, headers });
}

async function tagsOf(place: Place): Promise<string[]> {
  const tags: string[] = [];
  let path: string | undefined = `/v2/${place.repository}/tags/list`;
  while (path !== undefined) {
    const response: Response = await get(place, path);
    if (response.status === 404) return [];
    tags.push(...(((await response.json()) as { tags: string[] | null }).tags ?? []));
    path = /<([^>]+)>; *rel="?next"?/.exec(response.headers.get('link') ?? '')?.[1];
  }
  return tags;
}

interface ReadManifest {
  digest: string;
  body: {
    mediaType?: string;
    manifests?: { digest: string }[];
    config?: { digest: string };
    layers?: { digest: string }[];
  };
}

async function readManifest(place: Place, reference: string): Promise<ReadManifest> {
  const response = await get(place, `/v2/${place.repository}/manifests/${reference}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) return { digest: `status ${response.status}`, body: {} };
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, body: JSON.parse(bytes.toString()) };
}

async function missingParts(place: Place, { body }: ReadManifest): Promise<string[]> {
  const problems: string[] = [];
  if (isIndexType(body.mediaType ?? '')) {
    for (const { digest } of body.manifests ?? []) {
      const child = await readManifest(place, digest);
      if (child.digest !== digest) problems.push(`${digest} is ${child.digest}`);
      else problems.push(...(await missingParts(place, child)));
    }
  }
  for (const blob of [body.config, ...(body.layers ?? [])]) {
    if (blob === undefined) continue;
    const { status } = await get(place, `/v2/${place.repository}/blobs/${blob.digest}`, 'HEAD');
    if (status !== 200) problems.push(`blob ${blob.digest}: status ${status}`);
  }
  return problems;
}
