import { type Env, expandEnv } from '../config/expand-env.ts';
import { configurationError } from '../model/errors.ts';
import type { NotifyTarget } from '../model/notify-target.ts';
import type { NotifyEntry } from './notify-schema.ts';

/**
 * The targets of one entry, with variables put in.
 * @throws TranshipError `config-invalid`; no message holds a value
 */
export function targetsOf(entry: NotifyEntry, env: Env): NotifyTarget[] {
  const expand = (text: string) => expandEnv(text, env, { secret: true });
  const targets: NotifyTarget[] = [];
  for (const kind of ['webhook', 'feishu', 'dingtalk'] as const) {
    const written = entry[kind];
    if (written === undefined) continue;
    const { url, secret } = typeof written === 'string' ? { url: written } : { secret: undefined, ...written };
    targets.push({ kind, url: readUrl(kind, expand(url), webProtocols), secret: secret && expand(secret) });
  }
  for (const kind of ['slack', 'teams'] as const) {
    const written = entry[kind];
    if (written !== undefined) targets.push({ kind, url: readUrl(kind, expand(written), webProtocols) });
  }
  if (entry.mail !== undefined) {
    const { server, from, to } = entry.mail;
    targets.push({
      kind: 'mail',
      server: readUrl('mail', expand(server), ['smtp:', 'smtps:']),
      from: expand(from),
      to: [to].flat().map(expand),
    });
  }
  return targets;
}

const webProtocols = ['https:', 'http:'];

function readUrl(kind: NotifyTarget['kind'], text: string, protocols: string[]): URL {
  const url = URL.parse(text);
  if (url !== null && protocols.includes(url.protocol) && url.host !== '') return url;
  throw configurationError(`what ${kind} says is not a URL of ${protocols.map((name) => `${name}//`).join(' or ')}`, {
    mend:
      kind === 'mail'
        ? 'write server: smtps://user:password@host, with %40 for an @ in the password'
        : 'paste the whole URL of the webhook, or a variable that holds it',
  });
}
