/** Someone who is told of failures and recoveries. Holds secrets: it is never stored and never printed. */
export type NotifyTarget =
  | { kind: 'webhook' | 'feishu' | 'dingtalk'; url: URL; secret: string | undefined }
  | { kind: 'slack' | 'teams'; url: URL }
  | { kind: 'mail'; server: URL; from: string; to: string[] };

/** What a message calls a target: its kind and its host. */
export function nameOfTarget(target: NotifyTarget): string {
  return `${target.kind} at ${(target.kind === 'mail' ? target.server : target.url).host}`;
}
