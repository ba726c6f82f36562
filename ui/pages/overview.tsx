import { formatBytes, formatCount, plural } from '../../core/status/format.ts';
import type { OverviewView } from '../../core/status/view.ts';
import { bucketsOf } from '../buckets.ts';
import type { PageProps } from '../page-props.ts';
import { SyncNow, TryAgain } from '../parts/actions.tsx';
import { Badge, Card, Empty, Head, Time } from '../parts/basics.tsx';
import { Plot } from '../parts/plot.tsx';
import { RunningRuns, RunTable } from '../parts/runs.tsx';
import { linkTo } from '../route.ts';

const SHOWN_RUNS = 8;
/** Round numbers of bytes are powers of 1024 times 1, 2, 5, ... */
const byteSteps = [0, 1, 2, 3, 4, 5].flatMap((power) =>
  [1, 2, 5, 10, 20, 50, 100, 200, 500].map((factor) => factor * 1024 ** power),
);
const bytePowers = [0, 10 * 1024 ** 2, 1024 ** 3, 100 * 1024 ** 3, 10 * 1024 ** 4, 1024 ** 5];

export function OverviewPage({ overview }: PageProps) {
  if (overview === undefined) return <div class="skeleton" aria-busy="true" />;
  const { tags, parks, runs, at } = overview;
  return (
    <>
      <Head title="Overview">
        <SyncNow overview={overview} />
        {tags.failing > 0 && <TryAgain overview={overview} wish={{}} what="all failed tags" label="Try all again" />}
      </Head>
      <Verdict overview={overview} />
      <div class="tiles">
        <Tile label="In step" value={formatCount(tags.inStep)} note={`of ${plural(tags.planned, 'tag')}`} to="tags" />
        <Tile
          label="Not in step"
          value={`${formatCount(tags.failing)}${tags.isCut ? '+' : ''}`}
          note={overview.rules.failed > 0 ? `and ${plural(overview.rules.failed, 'rule')}` : 'failed or deferred'}
          tone={tags.failing + overview.rules.failed > 0 ? 'bad' : undefined}
          to="failures"
        />
        <Tile label="In hand" value={formatCount(tags.inHand)} note="being looked at or copied" to="runs" />
        <Tile
          label="Parked"
          value={formatCount(parks.length)}
          note={parks.length === 1 ? 'registry' : 'registries'}
          tone={parks.length > 0 ? 'warn' : undefined}
          to="registries"
        />
      </div>
      <RunningRuns overview={overview} />
      <Plots overview={overview} />
      <Card title="Last runs" id="last-runs">
        {runs.length === 0 ? (
          <Empty title="There was no run yet">
            <code>tranship sync</code> starts one; what it copies is here while it goes on.
          </Empty>
        ) : (
          <RunTable runs={runs.slice(0, SHOWN_RUNS)} now={at} />
        )}
      </Card>
      <NextRuns overview={overview} />
      {parks.length > 0 && (
        <Card title="Parked registries" id="parks">
          <ul class="rows">
            {parks.map(({ registry, until, reason }) => (
              <li key={registry}>
                <Badge tone="warn">parked</Badge> <strong>{registry}</strong>
                <span>
                  {reason}, again <Time at={until} now={at} />
                </span>
              </li>
            ))}
          </ul>
        </Card>
      )}
    </>
  );
}

function Verdict({ overview }: { overview: OverviewView }) {
  const { tags, rules, runs } = overview;
  if (runs.length === 0) {
    return <p class="verdict plain">Nothing is known yet: the first run fills this page.</p>;
  }
  if (tags.failing + rules.failed > 0) {
    const parts = [
      ...(tags.failing > 0 ? [`${plural(tags.failing, 'tag')}${tags.isCut ? ' and more' : ''}`] : []),
      ...(rules.failed > 0 ? [plural(rules.failed, 'rule')] : []),
    ];
    const isOne = tags.failing + rules.failed === 1;
    return (
      <p class="verdict bad">
        {parts.join(' and ')} {isOne ? 'is' : 'are'} not in step. <a href={linkTo('failures')}>See why</a>
      </p>
    );
  }
  if (tags.inHand > 0) return <p class="verdict busy">{plural(tags.inHand, 'tag')} in hand; nothing has failed.</p>;
  return <p class="verdict good">Everything is in step.</p>;
}

function Tile(props: { label: string; value: string; note: string; to: string; tone?: 'bad' | 'warn' }) {
  const { label, value, note, to, tone } = props;
  return (
    <a class={`tile ${tone ?? ''}`} href={linkTo(to)}>
      <span class="tile-label">{label}</span>
      <span class="tile-value">{value}</span>
      <span class="tile-note">{note}</span>
    </a>
  );
}

function Plots({ overview: { history, at } }: { overview: OverviewView }) {
  if (history.length === 0) return null;
  const { by, list } = bucketsOf(history, at);
  const labels = list.map(({ label }) => label);
  const sum = (value: (bucket: (typeof list)[number]) => number) => list.reduce((total, one) => total + value(one), 0);
  const span = by === 'hour' ? 'the last 24 hours' : `the last ${list.length} days`;
  const copied = sum((bucket) => bucket.copied);
  const failed = sum((bucket) => bucket.failed);
  return (
    <div class="plots">
      <Plot
        id="plot-bytes"
        title={`Bytes moved ${by === 'hour' ? 'an hour' : 'a day'}`}
        summary={`${formatBytes(sum((bucket) => bucket.bytes))} moved in ${span}`}
        labels={labels}
        series={[{ label: 'moved', colour: 'accent', values: list.map((bucket) => bucket.bytes) }]}
        format={formatBytes}
        steps={byteSteps}
        powers={bytePowers}
      />
      <Plot
        id="plot-tags"
        title={`Tags ${by === 'hour' ? 'an hour' : 'a day'}`}
        summary={`${plural(copied, 'tag')} copied and ${plural(failed, 'tag')} failed or deferred in ${span}`}
        labels={labels}
        series={[
          { label: 'copied', colour: 'good', values: list.map((bucket) => bucket.copied) },
          { label: 'failed or deferred', colour: 'bad', values: list.map((bucket) => bucket.failed) },
        ]}
        format={(value) => (Number.isInteger(value) ? formatCount(value) : '')}
        powers={[0, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]}
      />
    </div>
  );
}

function NextRuns({ overview: { nextRuns, at, host } }: { overview: OverviewView }) {
  return (
    <Card title="Next runs" id="next-runs">
      {nextRuns === null ? (
        <p class="dim">
          {host.kind === 'stack'
            ? 'Not kept: EventBridge Scheduler starts the runs of a stack.'
            : 'Not known here: schedules belong to tranship serve, whose page has them.'}
        </p>
      ) : nextRuns.length === 0 ? (
        <p class="dim">No rule has a schedule.</p>
      ) : (
        <ul class="rows">
          {nextRuns.map((next) => (
            <li key={next.trigger}>
              <code>{next.trigger}</code>
              <Time at={next.at} now={at} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
