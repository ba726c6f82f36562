import * as v from 'valibot';
import { configurationError, errorCodes } from '../../core/model/errors.ts';
import { parseRepository, parseTarget } from '../../core/model/reference.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import type { ActionAnswer, RedriveWish } from '../../core/status/view.ts';
import type { Reader } from './reader.ts';
import type { StatusHost } from './status-host.ts';

export interface ApiRequest {
  /** Below the path of the API. */
  name: string;
  isWrite: boolean;
  query: URLSearchParams;
  body: unknown;
}

export interface ApiAnswer {
  status: number;
  body: unknown;
}

const MOST_TAGS = 200;
const MOST_TEXT = 200;
const allResults: readonly Outcome['result'][] = ['failed', 'deferred', 'copied', 'deleted', 'unchanged'];

/**
 * Answers one question of the page, or does what it asks for.
 * @throws TranshipError `configuration` for a question that makes no sense
 */
export async function answerApi(deps: { reader: Reader; host: StatusHost }, asked: ApiRequest): Promise<ApiAnswer> {
  return asked.isWrite ? act(deps.host, asked) : read(deps, asked);
}

async function read(
  { reader, host }: { reader: Reader; host: StatusHost },
  { name, query }: ApiRequest,
): Promise<ApiAnswer> {
  switch (name) {
    case 'overview':
      return found(await reader.overview());
    case 'rules':
      return found(await reader.rules());
    case 'repositories':
      return found(await reader.repositories());
    case 'tags':
      return found(
        await reader.tags({
          repository: parseRepository(textOf(query, 'repository') ?? ''),
          after: textOf(query, 'after'),
          text: textOf(query, 'text'),
          problemsOnly: query.get('problems') === '1',
          limit: limitOf(query),
        }),
      );
    case 'tag':
      return found(await reader.tag(parseTarget(textOf(query, 'destination') ?? '')));
    case 'inside':
      if (host.lookInside === undefined) return notThere();
      return found(await host.lookInside(parseTarget(textOf(query, 'destination') ?? '')));
    case 'run':
      return found(await reader.run(textOf(query, 'id') ?? '', resultsOf(query)));
    case 'causes':
      return found(await reader.causes());
    case 'pushes':
      return found(reader.pushes());
    case 'registries':
      return found(await reader.registries());
    default:
      return notThere();
  }
}

const wishSchema = v.strictObject({
  destination: v.optional(v.string()),
  ruleId: v.optional(v.string()),
  code: v.optional(v.picklist(errorCodes)),
});

async function act(host: StatusHost, { name, body }: ApiRequest): Promise<ApiAnswer> {
  if (name === 'redrive' && host.redrive !== undefined) {
    const wish: RedriveWish = readWish(body);
    return found({ count: await host.redrive(wish) } satisfies ActionAnswer);
  }
  if (name === 'sync' && host.sync !== undefined) return found({ count: await host.sync() } satisfies ActionAnswer);
  return notThere();
}

function readWish(body: unknown): RedriveWish {
  const read = v.safeParse(wishSchema, body);
  if (!read.success) throw configurationError('what to try again is not understood');
  return read.output;
}

function found(body: unknown): ApiAnswer {
  return body === undefined ? notThere() : { status: 200, body };
}

function notThere(): ApiAnswer {
  return { status: 404, body: { error: 'there is no such thing' } };
}

function textOf(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (text.length > 2 * MOST_TEXT && name !== 'destination') throw configurationError(`${name} is too long`);
  return text;
}

function limitOf(query: URLSearchParams): number {
  const limit = Number(query.get('limit') ?? MOST_TAGS);
  return Number.isInteger(limit) && limit > 0 ? Math.min(limit, MOST_TAGS) : MOST_TAGS;
}

function resultsOf(query: URLSearchParams): Outcome['result'][] | undefined {
  const wanted = (query.get('results') ?? '').split(',');
  const results = allResults.filter((result) => wanted.includes(result));
  return results.length === 0 ? undefined : results;
}
