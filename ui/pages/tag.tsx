import { useState } from 'preact/hooks';
import { formatBytes, plural, shortDigest } from '../../core/status/format.ts';
import type { InsideView, TagDetailView } from '../../core/status/view.ts';
import { ApiError, ask } from '../api.ts';
import { useAsked } from '../live.ts';
import type { PageProps } from '../page-props.ts';
import { TryAgain } from '../parts/actions.tsx';
import { Card, Empty, Head, Loaded, Name, StateBadge, Time } from '../parts/basics.tsx';
import { linkTo } from '../route.ts';
import { ago } from '../time.ts';

export function TagPage({ route, overview, change }: PageProps) {
  const destination = route.values.get('destination') ?? '';
  const asked = useAsked<TagDetailView>('tag', { destination }, change);
  const now = overview?.at ?? Date.now();
  const repository = destination.replace(/(@[^@]*|:[^:/]*)$/, '');
  return (
    <>
      <p class="crumbs">
        <a href={linkTo('tags')}>Tags</a> / <a href={linkTo('tags', { repository })}>{repository}</a>
      </p>
      <Loaded asked={asked}>
        {(tag) => (
          <>
            <Head
              title={
                <>
                  <Name text={tag.destination} /> <StateBadge state={tag.state} />
                </>
              }
            >
              {(tag.state === 'failed' || tag.state === 'deferred') && (
                <TryAgain
                  overview={overview}
                  wish={wishFor(tag, overview?.host.kind)}
                  what={overview?.host.kind === 'stack' ? `the failed tags of ${tag.ruleId}` : 'this tag'}
                  primary
                />
              )}
            </Head>
            {tag.failure !== null && <Failure failure={tag.failure} />}
            <Sides tag={tag} now={now} />
            <Inside key={`${destination} ${tag.destinationDigest}`} tag={tag} />
            <History tag={tag} now={now} />
          </>
        )}
      </Loaded>
    </>
  );
}

/** A queue on AWS has no look-up by tag. */
function wishFor({ destination, ruleId, failure }: TagDetailView, kind: string | undefined) {
  if (kind !== 'stack') return { destination };
  return { ruleId: ruleId ?? undefined, code: failure?.code };
}

function Failure({ failure }: { failure: NonNullable<TagDetailView['failure']> }) {
  const where = [failure.operation, failure.registry, failure.status === undefined ? '' : `status ${failure.status}`];
  return (
    <section class="card why-card" aria-labelledby="why">
      <h2 id="why">
        Why: <code>{failure.code}</code>
      </h2>
      <p>
        {failure.message}
        {failure.what !== '' && <span class="dim"> ({failure.what})</span>}
      </p>
      {failure.mend !== undefined && (
        <p>
          <strong>What to do:</strong> {failure.mend}
        </p>
      )}
      <p class="dim">{where.filter((part) => part !== undefined && part !== '').join(' · ')}</p>
    </section>
  );
}

function Sides({ tag, now }: { tag: TagDetailView; now: number }) {
  const isEqual = tag.state === 'in-step' && tag.sourceDigest === tag.destinationDigest;
  return (
    <div class="sides">
      <Card title="Source" id="source">
        <p>{tag.source === null ? <span class="dim">not known</span> : <Name text={tag.source} />}</p>
        <Digest value={tag.sourceDigest} />
        {tag.sourceDigest !== null && !isEqual && <p class="dim">as it was when it was copied last</p>}
      </Card>
      <div class="sides-middle" aria-hidden="true">
        {isEqual ? '=' : '→'}
      </div>
      <Card title="Destination" id="destination">
        <p>
          <Name text={tag.destination} />
        </p>
        <Digest value={tag.destinationDigest} />
        {tag.at !== null && (
          <p class="dim">
            {how(tag)}, confirmed <Time at={tag.at} now={now} />
            {tag.platforms !== '' && `; only ${tag.platforms}`}
          </p>
        )}
        <p class="dim">{signatures(tag, now)}</p>
      </Card>
    </div>
  );
}

function signatures({ signatures: seen }: TagDetailView, now: number): string {
  if (seen === null) return 'Signatures: nobody looked';
  const when = ago(seen.at, now);
  return seen.found ? `Signatures and the like came along, ${when}` : `The source had no signatures, ${when}`;
}

function how({ how: kind, sourceDigest, destinationDigest }: TagDetailView): string {
  switch (kind) {
    case 'copied':
      return sourceDigest === destinationDigest ? 'copied byte for byte' : 'copied, a part of the platforms';
    case 'found':
      return 'found there equal';
    case 'empty':
      return 'no platform fits the filter';
    case 'gone':
      return 'gone since';
    case 'deleted':
      return "deleted by its rule's wish";
    default:
      return 'known';
  }
}

function Digest({ value }: { value: string | null }) {
  if (value === null) return <p class="dim">never copied</p>;
  return <code class="digest">{value}</code>;
}

function Inside({ tag }: { tag: TagDetailView }) {
  const [inside, setInside] = useState<InsideView>();
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const look = async () => {
    setBusy(true);
    setError(undefined);
    try {
      setInside(await ask<InsideView>('inside', { destination: tag.destination }));
    } catch (thrown) {
      setError(thrown instanceof ApiError ? thrown.message : String(thrown));
    }
    setBusy(false);
  };
  return (
    <Card title="Platforms and layers" id="inside">
      {inside === undefined ? (
        <>
          <p class="dim">
            {tag.canLookInside
              ? 'The ledger keeps digests alone. The registry has the rest: reading it is a pull of its manifests.'
              : 'Not kept: the ledger has digests alone.'}
          </p>
          {tag.canLookInside && (
            <button type="button" disabled={isBusy} onClick={look}>
              {isBusy ? 'Reading…' : 'Read from the registry'}
            </button>
          )}
        </>
      ) : (
        <InsideTable inside={inside} />
      )}
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </Card>
  );
}

function InsideTable({ inside }: { inside: InsideView }) {
  return (
    <>
      <p class="dim">{inside.mediaType}</p>
      <ul class="images">
        {inside.images.map((image) => (
          <li key={image.digest}>
            <details>
              <summary>
                <strong>{image.platform === '' ? 'one platform' : image.platform}</strong>
                <span>
                  {plural(image.layers.length, 'layer')}, {formatBytes(image.size)}
                </span>
                <code>{shortDigest(image.digest)}</code>
              </summary>
              <ol class="layers">
                {image.layers.map((layer) => (
                  <li key={layer.digest}>
                    <code class="digest">{layer.digest}</code>
                    <span class="number">{formatBytes(layer.size)}</span>
                  </li>
                ))}
              </ol>
            </details>
          </li>
        ))}
      </ul>
      {inside.isCut && <p class="dim">There are more platforms than these.</p>}
      <h3>Signatures, attestations, SBOMs</h3>
      {inside.signatures.length === 0 ? (
        <p class="dim">None at this registry.</p>
      ) : (
        <ul class="plain-list">
          {inside.signatures.map(({ kind, digest }) => (
            <li key={`${kind} ${digest}`}>
              {kind} <code>{shortDigest(digest)}</code>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function History({ tag, now }: { tag: TagDetailView; now: number }) {
  return (
    <Card title="History" id="history">
      {tag.history.length === 0 ? (
        <Empty title={`Nothing in the last ${plural(tag.historyRuns, 'run')}`}>
          Tags that planning finds in step leave no entry.
        </Empty>
      ) : (
        <ul class="rows">
          {tag.history.map((outcome) => (
            <li key={`${outcome.runId} ${outcome.ruleId}`}>
              <StateBadge state={outcome.result} />
              <a href={linkTo('run', { id: outcome.runId })}>
                <Time at={outcome.at} now={now} />
              </a>
              <span class="dim">
                {outcome.failure === undefined
                  ? `${formatBytes(outcome.bytes)} moved, ${plural(outcome.mounted, 'blob')} mounted${outcome.sourceDigest === undefined ? '' : `, from ${shortDigest(outcome.sourceDigest)}`}`
                  : `${outcome.failure.code}: ${outcome.failure.message}`}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
