import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import type { PushTarget } from '../../testing/push.ts';
import type { User } from '../../testing/registry/access.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { auditCopies } from '../support/aws-host/audit.ts';
import { until } from '../support/aws-host/between-registries.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';

describe('logins of the deployed stack', () => {
  /** Wants a login; the password changes. */
  let closed: EmbeddedRegistry;
  let open: EmbeddedRegistry;
  let stack: Deployment;
  const user: User = { username: 'mirror', password: 'first' };

  beforeAll(async () => {
    closed = await startRegistry({ access: { kind: 'basic', users: [user] } });
    open = await startRegistry();
    stack = await deploy([
      { name: 'rotated', from: `${closed.host}/rotated/app`, to: [`${open.host}/copies/rotated`] },
      { name: 'good', from: `${open.host}/good/app`, to: [`${open.host}/copies/good`] },
      // A port where nobody listens. A name that does not resolve fails for good or not, as the resolver has it.
      { name: 'unreachable', from: '127.0.0.1:1/app', to: [`${open.host}/copies/unreachable`] },
    ]);
    putLogins();
  });

  afterAll(async () => {
    await stack?.close();
    await Promise.all([closed?.close(), open?.close()]);
  });

  function putLogins({ withUser = true } = {}): void {
    const login = withUser ? { username: user.username, password: user.password } : {};
    const secret = { [closed.host]: { ...login, insecure: true }, [open.host]: { insecure: true } };
    stack.host.putSecret('Logins/Secret', JSON.stringify(secret));
  }

  const rotated = (): PushTarget => ({ url: closed.url, repository: 'rotated/app', ...user });
  const auditRotated = () =>
    auditCopies(
      { ...rotated(), authorization: `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}` },
      { url: open.url, repository: 'copies/rotated' },
    );

  async function startAll(rules: string[]): Promise<string> {
    const answer = await stack.host.invoke('Planner/Function', { rules });
    if (!answer.ok) throw new Error(answer.message);
    return JSON.parse(answer.payload).runId;
  }

  it('are read again where a password was rotated', async () => {
    await pushImage(rotated(), { seed: 'a', tag: '1' });
    const first = await stack.start('rotated');
    expect((await stack.ended(first)).counts).toMatchObject({ planned: 1, copied: 1 });

    user.password = 'second';
    putLogins();
    // A secret is read again at most every 10 s, however often a registry refuses.
    stack.host.advance(10_000);
    await pushImage(rotated(), { seed: 'b', tag: '2' });
    const second = await stack.start('rotated');
    expect((await stack.ended(second)).counts).toMatchObject({ planned: 2, copied: 1, unchanged: 1 });
    expect(await stack.audit(second, 2)).toEqual([]);
    expect(await auditRotated()).toEqual([]);
  });

  it('fails a rule without a login, or with a registry that is not there, and expands the others', async () => {
    await pushImage({ url: open.url, repository: 'good/app' }, { seed: 'good', tag: '1' });
    putLogins({ withUser: false });
    stack.host.advance(5 * 60_000);
    const runId = await startAll(['rotated', 'good', 'unreachable']);
    const run = await stack.ended(runId);
    expect(run.counts).toMatchObject({ planned: 1, copied: 1 });
    const failures = run.ruleFailures.map(({ ruleId, failure }) => [ruleId, failure.class, failure.code]).sort();
    expect(failures).toEqual([
      ['rotated', 'permanent', 'unauthorized'],
      ['unreachable', 'transient', 'network'],
    ]);
    expect(await stack.audit(runId, 1)).toEqual([]);
    await until(() => stack.host.mails().some(({ Message }) => Message.includes('rule unreachable')));
  });

  it('says which secret it cannot use, and nothing of what is in it', async () => {
    stack.host.putSecret('Logins/Secret', '{"registry.example": {"password": "s3cret"');
    stack.host.advance(5 * 60_000);
    const runId = await stack.start('good');
    const { ruleFailures } = await stack.ended(runId);
    expect(ruleFailures.map(({ failure }) => [failure.class, failure.code])).toEqual([
      ['configuration', 'config-invalid'],
    ]);
    expect(ruleFailures[0]?.failure.message).toContain('LoginsSecret');
    expect(JSON.stringify(ruleFailures) + stack.host.output('Planner/Function')).not.toContain('s3cret');
    putLogins();
    stack.host.advance(5 * 60_000);
  });

  it('never asks for what its roles may not do', () => {
    expect(stack.host.permissions.denied()).toEqual([]);
  });
});
