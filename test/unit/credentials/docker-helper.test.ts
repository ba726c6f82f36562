import { EventEmitter } from 'node:events';
import { describe, expect, it, vi } from 'vitest';

/** As Node's where files are used up: without pipes, and with its error a moment later. */
vi.mock('node:child_process', () => ({
  spawn: () => {
    const child = Object.assign(new EventEmitter(), { stdout: undefined, stdin: undefined, kill: () => false });
    process.nextTick(() => child.emit('error', Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' })));
    return child;
  },
}));

const { askHelper } = await import('../../../machine/credentials/docker-helper.ts');

describe('a credential helper', () => {
  it('that cannot be started for want of files may be tried again', async () => {
    await expect(askHelper('ecr-login', 'r.example', { env: {}, timeoutMs: 60_000 })).rejects.toMatchObject({
      class: 'transient',
      message: 'the credential helper docker-credential-ecr-login cannot be started now (EMFILE)',
    });
  });
});
