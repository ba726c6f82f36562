import { formatBytes, formatCount, formatDuration } from '../../core/status/format.ts';
import type { RunDetailView } from '../../core/status/view.ts';
import { useAsked } from '../live.ts';
import type { PageProps } from '../page-props.ts';
import { SyncNow } from '../parts/actions.tsx';
import { Card, Empty, Head, Loaded, Name, RunBadge, StateBadge, Time } from '../parts/basics.tsx';
import { Progress, RunningRuns, RunTable } from '../parts/runs.tsx';
import { linkTo } from '../route.ts';

export function RunsPage({ overview }: PageProps) {
  if (overview === undefined) return <div class="skeleton" aria-busy="true" />;
  const ended = overview.runs.filter(({ state }) => state !== 'running');
  return (
    <>
      <Head title="Runs">
        <SyncNow overview={overview} />
      </Head>
      <RunningRuns overview={overview} />
      <Card title="Ended" id="ended-runs">
        {ended.length === 0 ? <Empty title="No run has ended yet" /> : <RunTable runs={ended} now={overview.at} />}
      </Card>
    </>
  );
}

const results = ['failed', 'deferred', 'copied', 'deleted', 'unchanged'] as const;

export function RunPage({ route, overview, change }: PageProps) {
  const id = route.values.get('id') ?? '';
  const chosen = route.values.get('results') ?? 'failed,deferred';
  const asked = useAsked<RunDetailView>('run', { id, results: chosen }, change);
  const now = overview?.at ?? Date.now();
  return (
    <>
      <p class="crumbs">
        <a href={linkTo('runs')}>Runs</a> / <span>{id}</span>
      </p>
      <Loaded asked={asked} missing="There is no such run">
        {({ run, rules, outcomes, isCut }) => (
          <>
            <Head
              title={
                <>
                  Run of {run.trigger} <RunBadge run={run} />
                </>
              }
            />
            {run.state === 'running' && (
              <Card title="Progress" id="progress">
                <Progress run={run} now={now} />
              </Card>
            )}
            <Card title="Summary" id="run-summary">
              <dl class="facts">
                <div>
                  <dt>Started</dt>
                  <dd>
                    <Time at={run.startedAt} now={now} />
                  </dd>
                </div>
                <div>
                  <dt>Took</dt>
                  <dd>{run.endedAt === undefined ? '–' : formatDuration(run.endedAt - run.startedAt)}</dd>
                </div>
                <div>
                  <dt>Tags</dt>
                  <dd>{formatCount(run.counts.planned)}</dd>
                </div>
                <div>
                  <dt>Moved</dt>
                  <dd>{formatBytes(run.counts.bytes)}</dd>
                </div>
              </dl>
            </Card>
            {run.ruleFailures.length > 0 && (
              <Card title="Rules that could not be read" id="rule-failures">
                <ul class="rows">
                  {run.ruleFailures.map(({ ruleId, failure }) => (
                    <li key={ruleId}>
                      <a href={linkTo('rule', { id: ruleId })}>{ruleId}</a>
                      <span>
                        <code>{failure.code}</code>: {failure.message}
                      </span>
                    </li>
                  ))}
                </ul>
              </Card>
            )}
            <Card title="By rule" id="run-rules">
              {rules.length === 0 ? (
                <Empty title="No rule was planned in this run" />
              ) : (
                <RuleCountsTable rules={rules} />
              )}
            </Card>
            <Card title="Tags" id="run-tags">
              <nav class="choice" aria-label="Which tags">
                {results.map((result) => {
                  const isOn = chosen.split(',').includes(result);
                  const others = chosen.split(',').filter((one) => one !== result && one !== '');
                  const next = isOn ? others : [...others, result];
                  return (
                    <a
                      key={result}
                      class={isOn ? 'is-on' : ''}
                      aria-current={isOn ? 'true' : undefined}
                      href={linkTo('run', { id, results: next.join(',') || 'none' })}
                    >
                      {result} {formatCount(run.counts[result])}
                    </a>
                  );
                })}
              </nav>
              {outcomes.length === 0 ? (
                <Empty title="No such tag in this run">
                  Tags that planning found in step have no entry of their own.
                </Empty>
              ) : (
                <ul class="rows beside">
                  {outcomes.map((outcome) => (
                    <li key={`${outcome.destination} ${outcome.ruleId}`}>
                      <StateBadge state={outcome.result} />
                      <div>
                        <Name text={outcome.destination} destination />
                        <div class="dim">
                          {outcome.failure === undefined
                            ? `${formatBytes(outcome.bytes)} moved${outcome.note === undefined ? '' : `, ${outcome.note}`}`
                            : `${outcome.failure.code}: ${outcome.failure.message}`}
                        </div>
                      </div>
                    </li>
                  ))}
                </ul>
              )}
              {isCut && <p class="dim">There are more than these {formatCount(outcomes.length)}.</p>}
            </Card>
          </>
        )}
      </Loaded>
    </>
  );
}

function RuleCountsTable({ rules }: { rules: RunDetailView['rules'] }) {
  const columns = ['planned', 'copied', 'deleted', 'unchanged', 'failed', 'deferred'] as const;
  return (
    <div class="table-wrap">
      <table class="cards-when-narrow">
        <thead>
          <tr>
            <th scope="col">Rule</th>
            {columns.map((column) => (
              <th key={column} scope="col" class="number">
                {column}
              </th>
            ))}
            <th scope="col" class="number">
              moved
            </th>
          </tr>
        </thead>
        <tbody>
          {rules.map((rule) => (
            <tr key={rule.ruleId}>
              <th scope="row" data-label="Rule">
                <a class="name" href={linkTo('rule', { id: rule.ruleId })}>
                  {rule.ruleId}
                </a>
              </th>
              {columns.map((column) => (
                <td
                  key={column}
                  data-label={column}
                  class={`number ${(column === 'failed' || column === 'deferred') && rule[column] > 0 ? 'is-bad' : ''}`}
                >
                  {formatCount(rule[column])}
                </td>
              ))}
              <td data-label="moved" class="number">
                {formatBytes(rule.bytes)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
