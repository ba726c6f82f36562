import { formatBytes, formatCount, plural } from '../../core/status/format.ts';
import type { RuleView } from '../../core/status/view.ts';
import { useAsked } from '../live.ts';
import type { PageProps } from '../page-props.ts';
import { SyncNow, TryAgain } from '../parts/actions.tsx';
import { Badge, Bar, Card, Empty, Head, Loaded, Name, Time } from '../parts/basics.tsx';
import { linkTo } from '../route.ts';

export function RulesPage({ overview, change }: PageProps) {
  const asked = useAsked<RuleView[]>('rules', {}, change);
  const now = overview?.at ?? Date.now();
  return (
    <>
      <Head title="Rules">
        <SyncNow overview={overview} />
      </Head>
      <Loaded asked={asked}>
        {(rules) =>
          rules.length === 0 ? (
            <Empty title="No rule is known yet">
              Rules are known from a rules file (<code>--rules</code>), or from the first run.
            </Empty>
          ) : (
            <div class="table-wrap card">
              <table class="cards-when-narrow">
                <thead>
                  <tr>
                    <th scope="col">Rule</th>
                    <th scope="col">State</th>
                    <th scope="col">In step</th>
                    <th scope="col">Last planned</th>
                    <th scope="col">Last change</th>
                    <th scope="col" class="number">
                      Moved
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {rules.map((rule) => (
                    <RuleRow key={rule.ruleId} rule={rule} now={now} />
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </>
  );
}

function RuleRow({ rule, now }: { rule: RuleView; now: number }) {
  const { ruleId, planned, inStep, plannedAt, changedAt, bytes } = rule;
  return (
    <tr>
      <th scope="row" data-label="Rule">
        <a class="name" href={linkTo('rule', { id: ruleId })}>
          {ruleId}
        </a>
        {rule.rule !== null && (
          <span class="below dim">
            to <Name text={rule.rule.to[0] ?? ''} />
            {rule.rule.to.length > 1 && ` and ${rule.rule.to.length - 1} more`}
          </span>
        )}
      </th>
      <td data-label="State">
        <RuleBadge rule={rule} />
      </td>
      <td data-label="In step">
        {planned === undefined ? (
          '–'
        ) : (
          <>
            <span class="of">
              {formatCount(inStep)} of {formatCount(planned)}
            </span>
            <RuleBar rule={rule} />
          </>
        )}
      </td>
      <td data-label="Last planned">{plannedAt === undefined ? 'not yet' : <Time at={plannedAt} now={now} />}</td>
      <td data-label="Last change">{changedAt === undefined ? '–' : <Time at={changedAt} now={now} />}</td>
      <td data-label="Moved" class="number">
        {formatBytes(bytes)}
      </td>
    </tr>
  );
}

function RuleBadge({ rule: { failure, failing, inHand, planned } }: { rule: RuleView }) {
  if (failure !== undefined) return <Badge tone="bad">not readable</Badge>;
  if (failing > 0) return <Badge tone="bad">{formatCount(failing)} not in step</Badge>;
  if (inHand > 0) return <Badge tone="busy">in hand</Badge>;
  return planned === undefined ? <Badge tone="plain">not planned yet</Badge> : <Badge tone="good">in step</Badge>;
}

function RuleBar({ rule: { planned = 0, inStep, failing, inHand } }: { rule: RuleView }) {
  return (
    <Bar
      parts={[
        ['good', inStep],
        ['busy', inHand],
        ['bad', failing],
      ]}
      total={planned}
      label={`${inStep} of ${plural(planned, 'tag')} in step`}
    />
  );
}

export function RulePage({ route, overview, change }: PageProps) {
  const id = route.values.get('id') ?? '';
  const asked = useAsked<RuleView[]>('rules', {}, change);
  const now = overview?.at ?? Date.now();
  return (
    <>
      <p class="crumbs">
        <a href={linkTo('rules')}>Rules</a> / <span>{id}</span>
      </p>
      <Loaded asked={asked}>
        {(rules) => {
          const rule = rules.find(({ ruleId }) => ruleId === id);
          if (rule === undefined) return <Empty title="There is no such rule" isPage />;
          return (
            <>
              <Head
                title={
                  <>
                    <Name text={id} /> <RuleBadge rule={rule} />
                  </>
                }
              >
                {rule.failing > 0 && (
                  <TryAgain overview={overview} wish={{ ruleId: id }} what={`the tags of ${id} that failed`} />
                )}
              </Head>
              {rule.failure !== undefined && (
                <p class="error">
                  <code>{rule.failure.code}</code>: {rule.failure.message}
                  {rule.failure.mend !== undefined && `. ${rule.failure.mend}`}
                </p>
              )}
              <Card title="How it stands" id="rule-state">
                <RuleBar rule={rule} />
                <dl class="facts">
                  <div>
                    <dt>In step</dt>
                    <dd>
                      {rule.planned === undefined ? '–' : `${formatCount(rule.inStep)} of ${formatCount(rule.planned)}`}
                    </dd>
                  </div>
                  <div>
                    <dt>Not in step</dt>
                    <dd>{formatCount(rule.failing)}</dd>
                  </div>
                  <div>
                    <dt>Last planned</dt>
                    <dd>{rule.plannedAt === undefined ? 'not yet' : <Time at={rule.plannedAt} now={now} />}</dd>
                  </div>
                  <div>
                    <dt>Last change</dt>
                    <dd>{rule.changedAt === undefined ? '–' : <Time at={rule.changedAt} now={now} />}</dd>
                  </div>
                </dl>
              </Card>
              <Card title="What it costs" id="rule-cost">
                <dl class="facts wide">
                  <div>
                    <dt>Copied lately</dt>
                    <dd>
                      {plural(rule.copied, 'tag')}, {formatBytes(rule.bytes)}
                    </dd>
                  </div>
                  <div>
                    <dt>A run with nothing to do</dt>
                    <dd>
                      {rule.rule?.sourceTags === undefined
                        ? 'one HEAD a tag at the source'
                        : `${plural(rule.rule.sourceTags, 'HEAD')} at the source, ${plural(rule.rule.to.length, 'tag list')} at destinations`}
                    </dd>
                  </div>
                </dl>
              </Card>
              {rule.rule === null ? (
                <p class="dim">The rules file is not known here: give it with --rules to see where this rule copies.</p>
              ) : (
                <Card title="What it copies" id="rule-copies">
                  <dl class="facts wide">
                    <div>
                      <dt>From</dt>
                      <dd>
                        <Name text={rule.rule.from} />
                      </dd>
                    </div>
                    <div>
                      <dt>Tags</dt>
                      <dd>{rule.rule.tags}</dd>
                    </div>
                    {rule.rule.platforms !== '' && (
                      <div>
                        <dt>Platforms</dt>
                        <dd>{rule.rule.platforms}</dd>
                      </div>
                    )}
                    <div>
                      <dt>To</dt>
                      <dd>
                        <ul class="plain-list">
                          {rule.rule.to.map((to) => (
                            <li key={to}>
                              <a class="name" href={linkTo('tags', { repository: to })}>
                                {to}
                              </a>
                            </li>
                          ))}
                        </ul>
                      </dd>
                    </div>
                  </dl>
                </Card>
              )}
            </>
          );
        }}
      </Loaded>
    </>
  );
}
