import type { BlobPlaces } from './blob-places.ts';
import type { Leases } from './leases.ts';
import type { Parks } from './parks.ts';
import type { Pulls } from './pulls.ts';
import type { Runs } from './runs.ts';
import type { SyncRecords } from './sync-records.ts';

/** The memory of the pipeline, as a host has it in one place. A stage asks for the parts that it uses. */
export interface Ledger extends SyncRecords, BlobPlaces, Leases, Parks, Pulls, Runs {}
