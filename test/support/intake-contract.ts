import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Sender } from '../../core/announce/sender.ts';
import { formatTarget } from '../../core/model/reference.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { loadRules } from '../../core/rules/load-rules.ts';
import { senderOf } from './announce.ts';

/** A host that takes push events, and what it stored of them. */
export interface IntakeHost {
  /** Posts a body to the URL of a sender. */
  post(sender: Sender, body: unknown): Promise<{ status: number; body: string }>;
  /** Stored so far, in any order. */
  tasks(): Task[];
  plans(): PlanMessage[];
  close(): Promise<void> | void;
}

const digest = `sha256:${'a'.repeat(64)}`;
const rulesText = `version: 1
rules:
  - { name: all, from: registry.example.com/team/app, to: [a.example/app, b.example/app] }
  - { name: listed, from: registry.example.com/team/app, tags: ["1.0", "1.1"], to: "c.example/app:old,new" }
  - { name: newest, from: registry.example.com/team/lib, tags: { newest: 3 }, to: a.example/lib }
  - { name: mirror, from: registry.example.com/team/tool, to: a.example/tool, delete: mirror }
  - { name: many, from: registry.example.com/group/*, to: m.example/* }
`;

/**
 * What every host must do with push events: the same announcements lead to the same tasks, plans and answers, and
 * nothing is dropped.
 */
export function intakeContract(name: string, make: (rules: Rule[], senders: Sender[]) => Promise<IntakeHost>): void {
  describe(`${name}: intake contract`, () => {
    const script = senderOf('plain', { name: 'script', allow: ['registry.example.com'] });
    const registry = senderOf('distribution', { name: 'registry', allow: ['registry.example.com'] });
    let host: IntakeHost;

    beforeEach(async () => {
      const { rules } = loadRules(rulesText, { file: 'tranship.yaml', env: {} });
      host = await make(rules, [script, registry]);
    });
    afterEach(() => host.close());

    const post = async (sender: Sender, body: unknown) => {
      const response = await host.post(sender, body);
      return { status: response.status, ...JSON.parse(response.body) };
    };
    const image = (text: string) => ({ image: `registry.example.com/${text}` });
    const copies = () =>
      host
        .tasks()
        .map(({ ruleId, source, destinations }) =>
          [`${ruleId}: ${formatTarget(source)}`, ...destinations.map(formatTarget)].join(' '),
        )
        .sort();

    it('makes a task for each rule that takes a tag', async () => {
      expect(await post(script, image('team/app:1.1'))).toEqual({ status: 200, accepted: 1, ignored: 0 });
      expect(copies()).toEqual([
        'all: registry.example.com/team/app:1.1 a.example/app:1.1 b.example/app:1.1',
        'listed: registry.example.com/team/app:1.1 c.example/app:new',
      ]);
      expect(host.tasks()).toMatchObject([
        { pushed: true, attempt: 0 },
        { pushed: true, attempt: 0 },
      ]);
    });

    it('plans a rule anew, once, that one tag cannot decide', async () => {
      const body = ['team/lib:1', 'team/lib:2'].map(image);
      expect(await post(script, body)).toEqual({ status: 200, accepted: 2, ignored: 0 });
      expect(host.plans()).toMatchObject([{ ruleId: 'newest', attempt: 0 }]);
      expect(host.tasks()).toEqual([]);
    });

    it('plans what a rule deletes where it mirrors deletions, and nothing where no rule does', async () => {
      const body = ['team/tool:1', 'team/app:1.0'].map((text) => ({ ...image(text), action: 'delete' }));
      expect(await post(script, body)).toMatchObject({ status: 200, accepted: 1, ignored: 1 });
      expect(host.plans()).toMatchObject([{ ruleId: 'mirror', deletions: true }]);
      expect(host.tasks()).toEqual([]);
    });

    it('takes pushes of repositories that a rule for many has not seen', async () => {
      expect(await post(script, image('group/new:1'))).toMatchObject({ status: 200, accepted: 1 });
      expect(copies()).toEqual(['many: registry.example.com/group/new:1 m.example/new:1']);
    });

    it('makes one task of the events of one push', async () => {
      const body = image(`team/app:2.0@${digest}`);
      for (const _ of [1, 2]) expect(await post(script, body)).toMatchObject({ status: 200, accepted: 1 });
      expect(copies()).toHaveLength(1);
      expect(host.tasks()).toMatchObject([{ hint: digest }]);
    });

    it('drops nothing of a large body', async () => {
      const body = Array.from({ length: 800 }, (_, at) => image(`team/app:t${at}`));
      expect(await post(script, body)).toEqual({ status: 200, accepted: 800, ignored: 0 });
      expect(new Set(host.tasks().map(({ source }) => source.tag)).size).toBe(800);
    });

    it('refuses a body with too many events as a whole', async () => {
      const body = Array.from({ length: 5_001 }, (_, at) => image(`team/app:t${at}`));
      expect(await post(script, body)).toMatchObject({ status: 413, error: 'limit-exceeded' });
      expect(host.tasks()).toEqual([]);
    });

    it('counts as accepted what was stored, and says why the rest was not', async () => {
      const body = [image('team/app:1.0'), image('team/other:1.0'), { ...image('team/app:1.0'), action: 'delete' }];
      const response = await post(script, body);
      expect(response).toMatchObject({ status: 200, accepted: 1, ignored: 2 });
      expect(response.reasons.map(({ reason }: { reason: string }) => reason)).toEqual(['unmatched', 'deletion']);
    });

    it.each([
      ['a capital letter', image('team/App:1'), 'malformed'],
      ['no tag', image('team/app'), 'no-tag'],
      ['another field', { images: 'registry.example.com/team/app:1' }, 'malformed'],
      ['an action that is none', { ...image('team/app:1'), action: 'pull' }, 'unknown-event'],
      ['a registry of others', { image: 'elsewhere.example.com/team/app:1' }, 'not-allowed'],
    ])('tells a script of its mistake: %s', async (_, body, reason) => {
      const response = await post(script, body);
      expect(response).toMatchObject({ status: 400, error: reason, accepted: 0, ignored: 1 });
      expect(response.reasons).toMatchObject([{ reason, why: expect.any(String) }]);
    });

    it('stores the good events of a script beside its mistakes', async () => {
      const response = await post(script, [image('team/app:1.0'), image('team/App:1.0')]);
      expect(response).toMatchObject({ status: 400, accepted: 1, ignored: 1 });
      expect(host.tasks()).not.toEqual([]);
    });

    it('answers a registry with 200, whatever it thinks of the event', async () => {
      const push = { action: 'push', target: { mediaType: 'x', repository: 'team/App', tag: '1', url: '/manifests/' } };
      const body = { events: [{ ...push, request: { host: 'registry.example.com' } }] };
      expect(await post(registry, body)).toEqual({ status: 200, accepted: 0, ignored: 1 });
    });
  });
}
