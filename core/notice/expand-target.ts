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
    targets.push({ kind, url: readUrl(kind, expand(url)), secret: secret && expand(secret) });
  }
  for (const kind of ['slack', 'teams'] as const) {
    const written = entry[kind];
    if (written !== undefined) targets.push({ kind, url: readUrl(kind, expand(written)) });
  }
  if (entry.mail !== undefined) {
    const { server, from, to } = entry.mail;
    targets.push({
      kind: 'mail',
      server: readServer(expand(server)),
      from: expand(from),
      to: [to].flat().map(expand),
    });
  }
  return targets;
}

const webProtocols = ['https:', 'http:'];
const mailProtocols = ['smtp:', 'smtps:'];

function readUrl(kind: Exclude<NotifyTarget['kind'], 'mail'>, text: string): URL {
  const url = URL.parse(text);
  if (url !== null && webProtocols.includes(url.protocol) && url.host !== '') return url;
  throw configurationError(`what ${kind} says is not a URL of ${listed(webProtocols)}`, {
    mend: 'paste the whole URL of the webhook, or a variable that holds it',
  });
}

/** What a password may hold and a URL may not, as it is, ends the host in the middle of the password, or makes it another. */
function readServer(text: string): URL {
  const url = URL.parse(text);
  const isWhole = url !== null && ['', '/'].includes(url.pathname) && url.search + url.hash === '';
  if (!isWhole || !mailProtocols.includes(url.protocol) || url.host === '') {
    throw configurationError(`what mail says is not a URL of ${listed(mailProtocols)} with a server and no more`, {
      mend: 'write server: smtps://user:password@host, and in the password %23 for #, %2F for /, %3F for ?, %40 for @, %25 for %',
    });
  }
  if (!isDecodable(url.username) || !isDecodable(url.password)) {
    throw configurationError('the login in the URL of mail has a % that stands for nothing', {
      mend: 'write %25 for a % in the password',
    });
  }
  return url;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function listed(protocols: readonly string[]): string {
  return protocols.map((name) => `${name}//`).join(' or ');
}
