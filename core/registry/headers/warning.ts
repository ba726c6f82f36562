import { redactText } from '../redact.ts';
import type { RegistryClient } from '../state.ts';

/** So many different warnings about one registry are told. */
const MAX_WARNINGS = 50;

/** Tells the user something, once. @param topic a registry's name, or what else the message is about */
export function warnOnce(client: RegistryClient, topic: string, message: string): void {
  let told = client.warned.get(topic);
  if (told === undefined) {
    told = new Set();
    client.warned.set(topic, told);
  }
  if (told.has(message) || told.size > MAX_WARNINGS) return;
  told.add(message);
  const text = told.size > MAX_WARNINGS ? `further warnings about ${topic} are not shown` : message;
  client.options.onWarning?.(text, topic);
}

/** Passes on what a registry says in `Warning: 299` headers (distribution spec, "Warnings"). */
export function noteWarnings(client: RegistryClient, registry: string, header: string | string[] | undefined): void {
  for (const text of parseWarnings(header)) warnOnce(client, registry, `${registry} warns: ${redactText(text, 300)}`);
}

/** The texts of warnings with code 299 and agent `-`; the specification knows no others. Never throws. */
export function parseWarnings(header: string | string[] | undefined): string[] {
  const lines = typeof header === 'string' ? [header] : (header ?? []);
  return lines.flatMap((line) =>
    [...line.slice(0, 16 * 1024).matchAll(/(?:^|,)[ \t]*299 - "((?:[^"\\]|\\.)*)"/g)].map((match) =>
      (match[1] ?? '').replace(/\\(.)/g, '$1'),
    ),
  );
}
