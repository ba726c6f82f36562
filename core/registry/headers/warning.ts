import { redactText } from '../redact.ts';
import type { RegistryClient } from '../state.ts';

/** More different warnings than these are not worth anyone's time. */
const MAX_WARNINGS = 200;

/** Tells the user something once. */
export function warnOnce(client: RegistryClient, message: string): void {
  if (client.warned.has(message) || client.warned.size >= MAX_WARNINGS) return;
  client.warned.add(message);
  client.options.onWarning?.(message);
}

/** Passes on what a registry says in `Warning: 299` headers (distribution spec, "Warnings"). */
export function noteWarnings(client: RegistryClient, registry: string, header: string | string[] | undefined): void {
  for (const text of parseWarnings(header)) warnOnce(client, `${registry} warns: ${redactText(text, 300)}`);
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
