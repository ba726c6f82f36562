import { countEnded } from '../../core/pipeline/ports/runs.ts';
import { formatBytes, formatCount, formatDuration, plural, shortDigest } from '../../core/status/format.ts';
import type { OverviewView, RunView, TransferView } from '../../core/status/view.ts';
import { linkTo } from '../route.ts';
import { Bar, Card, RunBadge, Time, type Tone } from './basics.tsx';

export function RunTable({ runs, now }: { runs: readonly RunView[]; now: number }) {
  return (
    <div class="table-wrap">
      <table class="cards-when-narrow">
        <thead>
          <tr>
            <th scope="col">Started</th>
            <th scope="col">By</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Tags
            </th>
            <th scope="col" class="number">
              Copied
            </th>
            <th scope="col" class="number">
              Not in step
            </th>
            <th scope="col" class="number">
              Moved
            </th>
            <th scope="col" class="number">
              Took
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <RunRow key={run.id} run={run} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RunRow({ run, now }: { run: RunView; now: number }) {
  const { planned, copied, failed, deferred, bytes } = run.counts;
  const bad = failed + deferred + run.ruleFailures.length;
  const tookMs = (run.endedAt ?? (run.state === 'running' ? now : run.startedAt)) - run.startedAt;
  return (
    <tr>
      <th scope="row" data-label="Started">
        <a href={linkTo('run', { id: run.id })}>
          <Time at={run.startedAt} now={now} />
        </a>
      </th>
      <td data-label="By" class="by">
        {run.trigger}
      </td>
      <td data-label="State">
        <RunBadge run={run} />
      </td>
      <td data-label="Tags" class="number">
        {formatCount(planned)}
      </td>
      <td data-label="Copied" class="number">
        {formatCount(copied)}
      </td>
      <td data-label="Not in step" class={`number ${bad > 0 ? 'is-bad' : ''}`}>
        {formatCount(bad)}
      </td>
      <td data-label="Moved" class="number">
        {formatBytes(bytes)}
      </td>
      <td data-label="Took" class="number">
        {run.endedAt === undefined && run.state !== 'running' ? '–' : formatDuration(tookMs)}
      </td>
    </tr>
  );
}

/** The runs that go on, as bars, and the blobs on their way where the host knows them. */
export function RunningRuns({ overview }: { overview: OverviewView }) {
  const running = overview.runs.filter(({ state }) => state === 'running');
  if (running.length === 0) return null;
  return (
    <Card title="Running now" id="running">
      {running.map((run) => (
        <Progress key={run.id} run={run} now={overview.at} />
      ))}
      {overview.transfers !== null && overview.transfers.length > 0 && (
        <ul class="transfers">
          {overview.transfers.map((transfer) => (
            <Transfer key={`${transfer.digest} ${transfer.startedAt}`} transfer={transfer} now={overview.at} />
          ))}
        </ul>
      )}
    </Card>
  );
}

export function Progress({ run, now }: { run: RunView; now: number }) {
  const { planned, copied, deleted, unchanged, failed, deferred, bytes } = run.counts;
  const done = countEnded(run.counts);
  const rate = run.bytesPerSecond;
  const parts: Array<[Tone, number]> = [
    ['good', copied + deleted + unchanged],
    ['bad', failed],
    ['warn', deferred],
  ];
  const rules = run.rules === undefined ? '' : `, ${run.rules.expanded} of ${plural(run.rules.total, 'rule')} planned`;
  return (
    <div class="progress">
      <div class="progress-head">
        <a href={linkTo('run', { id: run.id })}>{run.trigger}</a>
        <span>
          {formatCount(done)} of {plural(planned, 'tag')}
          {rules}
        </span>
      </div>
      <Bar parts={parts} total={Math.max(planned, done)} label={`${done} of ${plural(planned, 'tag')} done`} />
      <div class="dim">
        {formatBytes(bytes)} moved{rate !== undefined && rate > 0 && ` at ${formatBytes(rate)}/s`}, for{' '}
        {formatDuration(now - run.startedAt)}
        {failed + deferred > 0 && `, ${formatCount(failed + deferred)} not in step`}
      </div>
    </div>
  );
}

function Transfer({ transfer, now }: { transfer: TransferView; now: number }) {
  const { digest, size, bytes, source, destinations, startedAt } = transfer;
  const seconds = Math.max(0.1, (now - startedAt) / 1000);
  return (
    <li>
      <span class="transfer-name">
        <code>{shortDigest(digest)}</code> {source} → {destinations.join(', ')}
      </span>
      <Bar parts={[['busy', bytes]]} total={size} label={`${formatBytes(bytes)} of ${formatBytes(size)}`} />
      <span class="dim number">
        {formatBytes(bytes)} of {formatBytes(size)}, {formatBytes(bytes / seconds)}/s
      </span>
    </li>
  );
}
