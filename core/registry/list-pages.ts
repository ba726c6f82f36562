import type { TranshipError } from '../model/errors.ts';
import { type Call, callError, retryCall } from './call.ts';
import type { ListPage } from './vendors/page.ts';

/** ECR refuses more than 1,000 (go-containerregistry#1091). */
const PAGE_SIZE = 1000;
/** The query of a list's first page. */
export const FIRST_QUERY = `?n=${PAGE_SIZE}`;

/**
 * The query behind a page of just the size that was asked for. Nexus is known to leave the link to the next one out
 * (sonatype/nexus-public#209). What follows is asked for by the last name, as the specification has it.
 */
export function afterFullPage(names: unknown[]): string | undefined {
  const last = names.at(-1);
  if (names.length !== PAGE_SIZE || typeof last !== 'string') return undefined;
  return `${FIRST_QUERY}&last=${encodeURIComponent(last)}`;
}

export interface ListLimits {
  /** What is listed, for messages. */
  what: string;
  maxPages: number;
  maxNames: number;
  /** What may be done about a list that does not end. */
  mend?: string;
}

/**
 * The pages of a list, each of which is tried again by itself. Where no page had a link a {@link ListPage.guess} is
 * followed, and nothing is lost where it leads nowhere.
 *
 * @param read told where a page begins; undefined for the first
 * @throws TranshipError `protocol` or `limit-exceeded` for a list that does not end; or what `read` fails with
 */
export async function* walkPages<Page extends ListPage>(
  call: Call,
  { what, maxPages, maxNames, mend }: ListLimits,
  read: (cursor: string | undefined) => Promise<Page>,
): AsyncGenerator<Page> {
  const seen = new Set<string | undefined>();
  let count = 0;
  /** The names of the page before, where this one is a guess. */
  let before: Set<unknown> | undefined;
  let givesLinks = false;
  let cursor: string | undefined;
  do {
    if (seen.has(cursor) || seen.size >= maxPages) {
      throw callError(call, `the list of ${what} does not end`, { class: 'permanent', code: 'protocol', mend });
    }
    seen.add(cursor);
    const from: string | undefined = cursor;
    const page: Page | undefined = await retryCall(call, () => read(from)).catch((error: TranshipError) => {
      if (before !== undefined && error.class === 'permanent') return undefined;
      throw error;
    });
    if (page === undefined || (before !== undefined && page.names.every((name) => before?.has(name)))) return;
    count += page.names.length;
    if (count > maxNames) {
      throw callError(call, `more than ${maxNames} ${what}`, { class: 'permanent', code: 'limit-exceeded' });
    }
    yield page;
    givesLinks ||= page.next !== undefined;
    const guess: string | undefined = givesLinks ? undefined : page.guess;
    before = guess === undefined ? undefined : new Set(page.names);
    cursor = guess ?? page.next;
    // The last page of some lists is empty, and leads to itself.
    if (page.names.length === 0 && cursor !== undefined && seen.has(cursor)) return;
  } while (cursor !== undefined);
}
