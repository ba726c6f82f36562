import { loadSenders } from '../../core/announce/load-senders.ts';
import type { Sender } from '../../core/announce/sender.ts';
import { configurationError } from '../../core/model/errors.ts';
import { parseSchedule } from '../../core/rules/schedule.ts';
import { groupSchedules } from '../../machine/serve/schedules.ts';
import type { ServeConfig } from '../../machine/serve/server.ts';
import type { Flags } from '../args/flags.ts';
import { findFile, mayExist } from './file-path.ts';
import { readInputs, readText } from './inputs.ts';

type Env = Record<string, string | undefined>;

export interface ServeSettings extends ServeConfig {
  /** The file that the senders are in; undefined where there is none. */
  sendersFile: string | undefined;
  warnings: string[];
}

/**
 * Reads the files that `serve` goes by.
 * @param before what they said when they were read last: a file of senders that is gone since may be there again in a
 *   moment, as while an editor writes it
 * @throws TranshipError `configuration`
 */
export async function readSettings(
  flags: Flags,
  env: Env,
  before?: Pick<ServeSettings, 'sendersFile'>,
): Promise<ServeSettings> {
  const inputs = await readInputs(flags, env, { notify: true });
  const sendersFile = findSenders(flags);
  if (sendersFile === undefined && before?.sendersFile !== undefined) {
    throw configurationError(`${before.sendersFile} is gone`, {
      mend: 'Put it back. To take no push events any more, start serve again without it.',
    });
  }
  const senders = await readSenders(flags, env);
  const general = flags.schedule === undefined ? undefined : parseSchedule({ cron: flags.schedule });
  const scheduled = groupSchedules(inputs.rules, inputs.schedules, general);
  if (senders.size === 0 && scheduled.length === 0) {
    throw configurationError('there is nothing to serve: no sender of push events, and no schedule', {
      mend: 'Put a webhooks.yaml here or give one with --webhooks; or write schedule: in the rules, or give --schedule.',
    });
  }
  const { rules, credentials, notify, warnings } = inputs;
  return { rules, credentials, senders, scheduled, notify, sendersFile, warnings };
}

const defaultNames = ['webhooks.yaml', 'webhooks.yml', 'webhooks.json'];

/** The senders of `--webhooks`, else of the working directory; none where there is no such file. */
export async function readSenders(flags: Pick<Flags, 'webhooks'>, env: Env): Promise<Map<string, Sender>> {
  const file = findSenders(flags);
  return file === undefined ? new Map() : loadSenders(await readText(file), { file, env });
}

function findSenders(flags: Pick<Flags, 'webhooks'>): string | undefined {
  const found =
    flags.webhooks === undefined ? defaultNames.filter(mayExist) : [findFile('webhooks', flags.webhooks, mayExist)];
  const [file, ...others] = found;
  if (others.length > 0) {
    throw configurationError(`${found.join(' and ')} are both here`, {
      mend: 'Say which one to go by with --webhooks.',
    });
  }
  return file;
}
