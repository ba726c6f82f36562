import { useState } from 'preact/hooks';
import { shortDigest } from '../../core/status/format.ts';
import type { RepositoriesView, TagsView, TagView } from '../../core/status/view.ts';
import { useAsked } from '../live.ts';
import type { PageProps } from '../page-props.ts';
import { Badge, Empty, Head, Loaded, Name, StateBadge, Time } from '../parts/basics.tsx';
import { linkTo } from '../route.ts';

const PAGE = 100;

export function TagsPage(props: PageProps) {
  const repository = props.route.values.get('repository');
  return repository === null ? <RepositoryList {...props} /> : <TagList {...props} repository={repository} />;
}

function RepositoryList({ change }: PageProps) {
  const asked = useAsked<RepositoriesView>('repositories', {}, change);
  const [text, setText] = useState('');
  return (
    <>
      <Head title="Tags" />
      <Loaded asked={asked}>
        {({ repositories }) => {
          if (repositories === null) {
            return (
              <Empty title="The repositories are not known here">
                A table on AWS has no list of them: give the rules file with <code>--rules</code>.
              </Empty>
            );
          }
          if (repositories.length === 0) {
            return <Empty title="Nothing was copied yet">Destination repositories are here after the first run.</Empty>;
          }
          const shown = repositories.filter(({ name }) => name.includes(text));
          return (
            <>
              <div class="filters">
                <label for="repository-filter">Repository</label>
                <input
                  id="repository-filter"
                  type="search"
                  placeholder="part of a name"
                  value={text}
                  onInput={({ currentTarget }) => setText(currentTarget.value.trim())}
                />
              </div>
              {shown.length === 0 ? (
                <Empty title={`No repository has “${text}” in its name`} />
              ) : (
                <ul class="rows card">
                  {shown.slice(0, 500).map(({ name, failing }) => (
                    <li key={name}>
                      <a class="name" href={linkTo('tags', { repository: name })}>
                        {name}
                      </a>
                      {failing > 0 && <Badge tone="bad">{failing} not in step</Badge>}
                    </li>
                  ))}
                </ul>
              )}
              {shown.length > 500 && <p class="dim">500 of {shown.length} are shown: give a part of the name.</p>}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function TagList({ route, overview, change, repository }: PageProps & { repository: string }) {
  const problems = route.values.get('problems') ?? undefined;
  const text = route.values.get('text') ?? undefined;
  const after = route.values.get('after') ?? undefined;
  const [typed, setTyped] = useState(text ?? '');
  const asked = useAsked<TagsView>('tags', { repository, problems, text, after, limit: String(PAGE) }, change);
  const now = overview?.at ?? Date.now();
  const search = (event: Event) => {
    event.preventDefault();
    location.hash = linkTo('tags', { repository, problems, text: typed.trim() });
  };
  return (
    <>
      <p class="crumbs">
        <a href={linkTo('tags')}>Tags</a> / <span>{repository}</span>
      </p>
      <Head title={<Name text={repository} />} />
      <form class="filters" onSubmit={search}>
        <label for="tag-filter">Tag</label>
        <input
          id="tag-filter"
          type="search"
          placeholder="part of a tag"
          value={typed}
          onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        />
        <button type="submit">Search</button>
        <a
          class={`choice-link ${problems === '1' ? 'is-on' : ''}`}
          href={linkTo('tags', { repository, text, problems: problems === '1' ? undefined : '1' })}
          aria-current={problems === '1' ? 'true' : undefined}
        >
          Only not in step
        </a>
      </form>
      <Loaded asked={asked}>
        {({ rows, next }) => (
          <>
            {rows.length === 0 ? (
              <Empty title={problems === '1' ? 'Every tag here is in step' : 'No tag is known here'}>
                {text !== undefined && `None has “${text}” in its name.`}
              </Empty>
            ) : (
              <TagTable rows={rows} now={now} />
            )}
            <p class="pager">
              {after !== undefined && <a href={linkTo('tags', { repository, problems, text })}>First page</a>}
              {next !== undefined && (
                <a class="next" href={linkTo('tags', { repository, problems, text, after: next })}>
                  {rows.length === 0 ? 'Search further' : 'Next page'}
                </a>
              )}
            </p>
          </>
        )}
      </Loaded>
    </>
  );
}

function TagTable({ rows, now }: { rows: TagView[]; now: number }) {
  return (
    <div class="table-wrap card">
      <table class="cards-when-narrow">
        <thead>
          <tr>
            <th scope="col">Tag</th>
            <th scope="col">State</th>
            <th scope="col">Digest</th>
            <th scope="col">Since</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.destination}>
              <th scope="row" data-label="Tag">
                <a class="name" href={linkTo('tag', { destination: row.destination })}>
                  {tagOf(row.destination)}
                </a>
              </th>
              <td data-label="State">
                <StateBadge state={row.state} />
              </td>
              <td data-label="Digest">
                {row.destinationDigest === undefined ? (
                  <span class="dim">none</span>
                ) : (
                  <code>{shortDigest(row.destinationDigest)}</code>
                )}
              </td>
              <td data-label="Since">
                <Time at={row.at} now={now} />
              </td>
              <td data-label="Why" class="why">
                {row.failure === undefined ? '' : `${row.failure.code}: ${row.failure.message}`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The part behind the repository. */
function tagOf(reference: string): string {
  const at = reference.lastIndexOf('@');
  return at === -1 ? reference.slice(reference.lastIndexOf(':') + 1) : reference.slice(at + 1);
}
