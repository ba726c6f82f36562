/** How a registry wants clients to log in, by its last challenge. */
export type AuthScheme =
  | { kind: 'none' }
  | { kind: 'basic' }
  | { kind: 'bearer'; realm: string; service: string | undefined };
