import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '../../machine/state/database.ts';
import { openLedger } from '../../machine/state/ledger.ts';
import { ledgerContract } from '../support/ledger-contract.ts';

ledgerContract('sqlite', async (now) => {
  const directory = mkdtempSync(join(tmpdir(), 'tranship-state-'));
  const database = openDatabase(directory);
  return {
    ledger: openLedger(database, { now }),
    close: () => {
      database.close();
      rmSync(directory, { recursive: true });
    },
  };
});
