import type { Credentials } from '../../core/model/credentials.ts';
import { type Machine, openMachine } from '../../machine/machine.ts';

/** The machine of a state directory, with the settings that its command has by default. */
export function machineFor(directory: string, options: { credentials: Credentials; signal: AbortSignal }): Machine {
  return openMachine(directory, {
    ...options,
    userAgent: 'tranship/test',
    allowedRealms: [],
    blobsAtOnce: 5,
    workers: 1,
    emit: () => {},
  });
}
