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
  warnings: string[];
}

/**
 * Reads the files that `serve` goes by.
 * @throws TranshipError `configuration`
 */
export async function readSettings(flags: Flags, env: Env): Promise<ServeSettings> {
  const inputs = await readInputs(flags, env, { notify: true });
  const senders = await readSenders(flags, env);
  const general = flags.schedule === undefined ? undefined : parseSchedule({ cron: flags.schedule });
  const scheduled = groupSchedules(inputs.rules, inputs.schedules, general);
  if (senders.size === 0 && scheduled.length === 0) {
    throw configurationError('there is nothing to serve: no sender of push events, and no schedule', {
      mend: 'Put a webhooks.yaml here or give one with --webhooks; or write schedule: in the rules, or give --schedule.',
    });
  }
  const { rules, credentials, notify, warnings } = inputs;
  return { rules, credentials, senders, scheduled, notify, warnings };
}

const defaultNames = ['webhooks.yaml', 'webhooks.yml', 'webhooks.json'];

/** The senders of `--webhooks`, else of the working directory; none where there is no such file. */
export async function readSenders(flags: Pick<Flags, 'webhooks'>, env: Env): Promise<Map<string, Sender>> {
  const found =
    flags.webhooks === undefined ? defaultNames.filter(mayExist) : [findFile('webhooks', flags.webhooks, mayExist)];
  const [file, ...others] = found;
  if (file === undefined) return new Map();
  if (others.length > 0) {
    throw configurationError(`${found.join(' and ')} are both here`, {
      mend: 'Say which one to go by with --webhooks.',
    });
  }
  return loadSenders(await readText(file), { file, env });
}
