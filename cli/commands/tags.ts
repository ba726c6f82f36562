import { formatRepository, formatTarget, parseRepository } from '../../core/model/reference.ts';
import { createSlots } from '../../core/model/slots.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { listTags } from '../../core/registry/tags.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { readCredentials } from '../inputs/inputs.ts';
import type { Shell } from '../shell.ts';
import { formatJsonLine } from '../view/json.ts';
import { type Asking, askRegistries } from './asking.ts';

/** HEADs under way at a time. */
const HEADS_AT_ONCE = 16;

/**
 * `tranship tags REPOSITORY`: its tags, one a line, in the registry's order.
 * @param words the repository
 */
export async function tags(flags: Flags, words: string[], warnings: string[], shell: Shell): Promise<ExitCode> {
  const repository = parseRepository(words[0] ?? '');
  const logins = await readCredentials(flags, shell.env);
  return askRegistries(flags, shell, logins.credentials, async (asking) => {
    for (const message of [...warnings, ...logins.warnings]) asking.warn(message);
    for await (const page of listTags(asking.client, repository, { signal: asking.signal })) {
      const digests = flags.digests ? await digestsOf(asking, repository, page) : undefined;
      for (const [at, tag] of page.entries()) {
        const digest = digests?.[at];
        const line = digest === undefined ? tag : `${tag}  ${digest}`;
        const json = { type: 'listed-tag', repository: formatRepository(repository), tag, digest };
        shell.stdout.write(flags.json ? formatJsonLine(json) : `${line}\n`);
      }
    }
    return exitCodes.inStep;
  });
}

function digestsOf(
  { client, signal, warn }: Asking,
  repository: ReturnType<typeof parseRepository>,
  names: string[],
): Promise<Array<string | undefined>> {
  const slots = createSlots(HEADS_AT_ONCE);
  const digestOf = async (tag: string) => {
    const target = { ...repository, tag };
    const head = await headManifest(client, target, { signal });
    if (head === undefined) warn(`${formatTarget(target)} is listed and is not there`);
    return head?.digest;
  };
  return Promise.all(names.map((tag) => slots(() => digestOf(tag))));
}
