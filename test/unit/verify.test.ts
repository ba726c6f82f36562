import { describe, expect, it } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { DestinationState, ExpandedTag } from '../../core/pipeline/expand.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';
import { judgeDestination } from '../../core/pipeline/verify.ts';

const [wanted, other, subset] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`) as [
  string,
  string,
  string,
];
const source = { registry: 's.example', repository: 'app', tag: '1' };
const target = { registry: 'd.example', repository: 'app', tag: '1' };
const now = 1000;

function judge(
  destination: Partial<DestinationState>,
  options: { arch?: string[]; digest?: string; error?: TranshipError } = {},
) {
  const { arch = [], error } = options;
  const digest = 'digest' in options ? options.digest : wanted;
  const rule: Rule = {
    id: 'r',
    from: source,
    select: { kind: 'all' },
    to: [target],
    platforms: { platforms: [], os: [], arch },
  };
  const state: DestinationState = { target, state: 'in-step', record: undefined, ...destination };
  const tag: ExpandedTag = { source, digest, error, destinations: [state] };
  const { row, correction } = judgeDestination(rule, tag, state, now);
  return { state: row.state, expected: row.expected, how: correction?.how, at: correction?.at, failure: row.failure };
}

function recorded(over: Partial<SyncRecord> = {}): SyncRecord {
  return {
    destination: target,
    source,
    sourceDigest: wanted,
    destinationDigest: wanted,
    platforms: '',
    at: 1,
    how: 'copied',
    ...over,
  };
}

describe('a verified destination', () => {
  const broken = new TranshipError('no', { class: 'transient', code: 'network' });

  it.each<[string, ReturnType<typeof judge>['state'], string | undefined, ReturnType<typeof judge>]>([
    ['equal, as recorded', 'ok', undefined, judge({ actual: wanted, record: recorded() })],
    ['equal, unrecorded', 'ok', undefined, judge({ state: 'found', actual: wanted })],
    ['changed by others', 'differs', 'gone', judge({ state: 'changed', actual: other, record: recorded() })],
    ['changed, unrecorded', 'differs', undefined, judge({ state: 'changed', actual: other })],
    ['deleted', 'missing', 'gone', judge({ state: 'new', record: recorded() })],
    ['deleted, and known to be', 'missing', undefined, judge({ state: 'new', record: recorded({ how: 'gone' }) })],
    ['never there', 'missing', undefined, judge({ state: 'new' })],
    [
      'behind its source',
      'differs',
      undefined,
      judge({
        state: 'changed',
        actual: other,
        record: recorded({ sourceDigest: other, destinationDigest: other }),
      }),
    ],
    ['not to be read', 'unreadable', undefined, judge({ state: 'unknown', error: broken, record: recorded() })],
    [
      'of a source that is not to be read',
      'unreadable',
      undefined,
      judge({ state: 'unknown', actual: other, record: recorded() }, { digest: undefined, error: broken }),
    ],
  ])('%s is %s', (_what, state, how, finding) => {
    expect(finding).toMatchObject({ state, how });
    expect(finding.failure !== undefined).toBe(state === 'unreadable');
  });

  it('has a digest of its own under a platform filter, which the whole image is not', () => {
    const record = recorded({ destinationDigest: subset, platforms: 'arch=arm64' });
    expect(judge({ state: 'in-step', actual: subset, record }, { arch: ['arm64'] })).toMatchObject({
      state: 'ok',
      expected: subset,
    });
    expect(judge({ state: 'changed', actual: wanted, record }, { arch: ['arm64'] })).toMatchObject({
      state: 'differs',
      expected: subset,
      how: 'gone',
    });
    // Made under a filter that holds no more, and still true.
    expect(judge({ state: 'changed', actual: subset, record })).toMatchObject({
      state: 'differs',
      expected: wanted,
      how: undefined,
    });
  });

  it('gets a record that is newer than the one that was wrong', () => {
    expect(judge({ state: 'new', record: recorded({ at: 5 * now }) }).at).toBe(5 * now + 1);
    expect(judge({ state: 'new', record: recorded() }).at).toBe(now);
  });
});
