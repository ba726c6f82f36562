import { plural } from '../../core/status/format.ts';
import type { CausesView } from '../../core/status/view.ts';
import { useAsked } from '../live.ts';
import type { PageProps } from '../page-props.ts';
import { TryAgain } from '../parts/actions.tsx';
import { Badge, Empty, Head, Loaded, Name } from '../parts/basics.tsx';
import { linkTo } from '../route.ts';

export function FailuresPage({ overview, change }: PageProps) {
  const asked = useAsked<CausesView>('causes', {}, change);
  return (
    <>
      <Head title="Failures by cause">
        {overview !== undefined && overview.tags.failing > 0 && (
          <TryAgain overview={overview} wish={{}} what="all failed tags" label="Try all again" />
        )}
      </Head>
      <Loaded asked={asked}>
        {({ causes, isCut }) =>
          causes.length === 0 ? (
            <Empty title="Nothing has failed">What fails is here with its reason and what to do about it.</Empty>
          ) : (
            <>
              {isCut && <p class="dim">More tags failed than are counted here.</p>}
              {causes.map((cause) => (
                <CauseCard key={`${cause.code} ${cause.registry}`} cause={cause} overview={overview} />
              ))}
            </>
          )
        }
      </Loaded>
    </>
  );
}

function CauseCard({ cause, overview }: { cause: CausesView['causes'][number]; overview: PageProps['overview'] }) {
  const id = `cause-${cause.code}-${(cause.registry ?? '').replaceAll(/[^a-z0-9]/gi, '-')}`;
  const counts = [
    ...(cause.tags > 0 ? [plural(cause.tags, 'tag')] : []),
    ...(cause.rules > 0 ? [plural(cause.rules, 'rule')] : []),
  ];
  return (
    <section class="card cause" aria-labelledby={id}>
      <div class="cause-head">
        <h2 id={id}>
          <code>{cause.code}</code> {cause.registry !== undefined && <>at {cause.registry}</>}
        </h2>
        <Badge tone={cause.class === 'permanent' || cause.class === 'configuration' ? 'bad' : 'warn'}>
          {cause.class}
        </Badge>
        <span class="dim">{counts.join(' and ')}</span>
        <div class="actions">
          {cause.tags > 0 && (
            <TryAgain
              overview={overview}
              wish={{ code: cause.code }}
              what={`all tags that failed with ${cause.code}`}
              label="Try these again"
            />
          )}
        </div>
      </div>
      <p>{sentence(cause.what)}</p>
      {cause.mend !== '' && (
        <p>
          <strong>What to do:</strong> {cause.mend}
        </p>
      )}
      <ul class="messages">
        {cause.messages.map(({ text, count }) => (
          <li key={text}>
            {text} {count > 1 && <span class="dim">({count} times)</span>}
          </li>
        ))}
      </ul>
      {cause.examples.length > 0 && (
        <ul class="plain-list">
          {cause.examples.map((example) => (
            <li key={example}>
              <Name text={example} destination />
            </li>
          ))}
        </ul>
      )}
      {cause.tags > cause.examples.length && (
        <p class="dim">
          and {plural(cause.tags - cause.examples.length, 'more tag', 'more tags')}, of{' '}
          {cause.ruleIds.map((ruleId, at) => (
            <>
              {at > 0 && ', '}
              <a href={linkTo('rule', { id: ruleId })}>{ruleId}</a>
            </>
          ))}
        </p>
      )}
    </section>
  );
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
