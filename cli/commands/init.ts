import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { Document } from 'yaml';
import { configurationError, hasCode, TranshipError, toFailure, toTranshipError } from '../../core/model/errors.ts';
import { formatRepository, formatTarget, type Repository } from '../../core/model/reference.ts';
import type { Rule } from '../../core/model/rule.ts';
import { checkNames } from '../../core/pipeline/expand.ts';
import type { RegistryClient } from '../../core/registry/client.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { listTags } from '../../core/registry/tags.ts';
import { cancelUpload, startUpload } from '../../core/registry/uploads.ts';
import { explainSelection } from '../../core/rules/explain.ts';
import { parseImageText } from '../../core/rules/image-text.ts';
import { loadRules } from '../../core/rules/load-rules.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { readCredentials } from '../inputs/inputs.ts';
import { failureLines } from '../report/tags.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { createPaint, wantsColor } from '../view/color.ts';
import { formatCount, plural } from '../view/format.ts';
import { type Asking, askRegistries } from './asking.ts';

/** What the flags or the user said. */
interface Answers {
  from: string;
  to: string[];
  /** A pattern; undefined for all tags. */
  tags: string | undefined;
  newest: number | undefined;
}

/**
 * `tranship init`: asks what goes where, writes a rules file, and tries whether the logins at hand can read the source
 * and push to the destinations. What the flags say is not asked. A file that is there is never touched.
 */
export async function init(flags: Flags, shell: Shell): Promise<ExitCode> {
  const path = flags.rules ?? 'tranship.yaml';
  if (existsSync(path)) {
    throw configurationError(`${path} is there already`, {
      place: { file: path },
      mend: 'Edit it, or give the name of a new file with --rules.',
    });
  }
  const answers = await gather(flags, shell);
  const text = renderRules(answers, path);
  const [rule] = loadRules(text, { file: path, env: shell.env }).rules;
  if (rule === undefined) throw configurationError('there is no rule to write', {});
  const logins = await readCredentials(flags, shell.env);
  await writeNew(path, text);
  shell.stdout.write(`Wrote ${path}.\n\n`);
  return askRegistries(flags, shell, logins.credentials, async (asking) => {
    const works = await checkLogins(asking, rule, shell, flags);
    const option = flags.rules === undefined ? '' : ` --rules ${path}`;
    shell.stdout.write(
      works
        ? `\nNext:\n  tranship plan${option}    what would be copied; writes nothing\n  tranship sync${option}    copy\n`
        : `\nMend that, then see what would be copied: tranship plan${option}\n`,
    );
    return works ? exitCodes.inStep : exitCodes.incomplete;
  });
}

async function gather(flags: Flags, shell: Shell): Promise<Answers> {
  const { env } = shell;
  const from =
    flags.from ??
    (await answerOf(
      shell,
      '--from',
      'What to copy? An image or a repository, as alpine:3.22 or quay.io/org/app',
      parseImageText,
    ));
  const image = parseImageText(from);
  const isOpen = image.tags === undefined && image.digest === undefined && image.regex === undefined;
  const tryRules = (answers: Answers) => loadRules(renderRules(answers, 'the answer'), { file: 'the answer', env });
  const tryTo = (text: string) => tryRules({ from, to: [text], tags: undefined, newest: undefined });
  const to =
    flags.to.length > 0
      ? flags.to
      : [await answerOf(shell, '--to', 'Where to? A repository, as registry.example.com/mirror/alpine', tryTo)];
  const isAsked = isOpen && shell.ask !== undefined && flags.from === undefined;
  const tryTags = (tags: string) => tags === '' || tryRules({ from, to, tags, newest: undefined });
  const tags =
    flags.tag ??
    (isAsked ? await answerOf(shell, '--tags', 'Which tags? A pattern as 3.*, or nothing for all', tryTags) : '');
  const newest =
    flags.newest ??
    (isAsked
      ? await answerOf(shell, '--newest', 'Only how many, the newest first? A number, or nothing for all', readNewest)
      : '');
  return { from, to, tags: tags === '' ? undefined : tags, newest: newest === '' ? undefined : Number(newest) };
}

/** Asks until `check` is content. Without a terminal there is nobody to ask. */
async function answerOf(
  shell: Shell,
  flag: string,
  question: string,
  check: (text: string) => unknown,
): Promise<string> {
  if (shell.ask === undefined) {
    throw configurationError(`there is no terminal to ask at, and no ${flag}`, {
      mend: `Give ${flag}. See tranship init --help.`,
    });
  }
  for (;;) {
    const answer = await shell.ask(`${question}\n> `);
    if (answer === undefined)
      throw configurationError('there was no answer; nothing was written', { mend: `Give ${flag}.` });
    try {
      check(answer.trim());
      return answer.trim();
    } catch (error) {
      const { message, mend } = toTranshipError(error);
      shell.stderr.write(`${message}${mend === undefined ? '' : `\n${mend}`}\n`);
    }
  }
}

function readNewest(text: string): void {
  if (text !== '' && !/^[1-9]\d{0,4}$/.test(text))
    throw configurationError(`${JSON.stringify(text)} is not a number from 1 to 99999`);
}

function renderRules({ from, to, tags, newest }: Answers, path: string): string {
  const conditions = newest === undefined ? tags : { ...(tags !== undefined && { match: tags }), newest };
  const rules = {
    version: 1,
    rules: [{ from, ...(conditions !== undefined && { tags: conditions }), to: to.length === 1 ? to[0] : to }],
  };
  if (/\.json$/i.test(path)) return `${JSON.stringify(rules, undefined, 2)}\n`;
  const document = new Document(rules);
  document.commentBefore = ' What to keep in step, and where. All that rules can say: docs/rules.md';
  return document.toString({ lineWidth: 0 });
}

/** Creates the file; one that came to be there meanwhile stays as it is. */
async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (cause) {
    throw configurationError(`${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, {
      place: { file: path },
      mend: 'Give the name of a new file in a directory that this user may write, with --rules.',
      cause,
    });
  }
}

/** Tries to read the source and to push to each destination, and tells how that went. */
async function checkLogins({ client, signal }: Asking, rule: Rule, shell: Shell, flags: Flags): Promise<boolean> {
  const { env, stdout } = shell;
  const paint = createPaint(wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true }));
  let works = true;
  const check = async (subject: string, look: () => Promise<string>) => {
    try {
      stdout.write(`${paint('green', 'ok')}      ${subject} ${await look()}\n`);
    } catch (thrown) {
      if (hasCode(thrown, 'aborted')) throw thrown;
      works = false;
      const lines = failureLines(toFailure(thrown), { paint, columns: columnsOf(stdout), now: 0 }, 8);
      stdout.write(`${paint('red', 'failed')}  ${subject}\n${lines.join('\n')}\n`);
    }
  };
  let taken: string[] | undefined;
  await check(formatRepository(rule.from), async () => {
    const found = await lookAtSource(client, rule, signal);
    taken = found.taken;
    return found.text;
  });
  for (const to of rule.to) {
    await check(formatRepository(to), async () => {
      if (taken !== undefined) checkNames(rule.from, taken, to);
      return tryToPush(client, to, signal);
    });
  }
  return works;
}

/** How the source can be read, and the tags that the rule takes; of a digest none, as it needs no list. */
async function lookAtSource(
  client: RegistryClient,
  { from, select }: Rule,
  signal: AbortSignal,
): Promise<{ text: string; taken?: string[] }> {
  if (select.kind === 'digest') {
    const target = { ...from, digest: select.digest };
    if ((await headManifest(client, target, { isNamed: true, signal })) === undefined) {
      throw new TranshipError(`${formatTarget(target)} is not there`, { class: 'permanent', code: 'not-found' });
    }
    return { text: 'can be read' };
  }
  const names: string[] = [];
  for await (const page of listTags(client, from, { signal })) names.push(...page);
  const { taken, missing } = explainSelection(select, names);
  const gone = missing.length === 0 ? '' : `; it does not have ${missing.slice(0, 5).join(', ')}`;
  const text = `can be read: the rule takes ${formatCount(taken.length)} of ${plural(names.length, 'tag')}${gone}`;
  return { text, taken: select.kind === 'tags' ? undefined : taken };
}

/** Begins an upload and gives it up: the least that shows whether a login may push. */
async function tryToPush(client: RegistryClient, repository: Repository, signal: AbortSignal): Promise<string> {
  const started = await startUpload(client, repository, { signal });
  if (started.kind === 'session') await cancelUpload(client, started.session);
  return 'can be pushed to';
}
