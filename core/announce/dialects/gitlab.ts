import type { Dialect } from '../dialect.ts';
import { distribution } from './distribution.ts';

/**
 * GitLab's container registry: a fork of distribution with the same envelope. It gives an event up after `maxretries`,
 * so what is answered late is lost there and waits for the next scheduled run.
 * @see https://docs.gitlab.com/administration/packages/container_registry/ "Configure container registry notifications"
 */
export const gitlab: Dialect = distribution;
