import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, ask, logIn, logOut } from './api.ts';
import { useLive } from './live.ts';
import type { PageProps } from './page-props.ts';
import { FailuresPage } from './pages/failures.tsx';
import { OverviewPage } from './pages/overview.tsx';
import { PushesPage } from './pages/pushes.tsx';
import { RegistriesPage } from './pages/registries.tsx';
import { RulePage, RulesPage } from './pages/rules.tsx';
import { RunPage, RunsPage } from './pages/runs.tsx';
import { TagPage } from './pages/tag.tsx';
import { TagsPage } from './pages/tags.tsx';
import { Login } from './parts/login.tsx';
import { linkTo, type Route, useRoute } from './route.ts';
import { nextTheme, readTheme } from './theme.ts';
import { dateTime } from './time.ts';

const pages: Array<{ page: string; title: string; below?: string[] }> = [
  { page: '', title: 'Overview' },
  { page: 'rules', title: 'Rules', below: ['rule'] },
  { page: 'tags', title: 'Tags', below: ['tag'] },
  { page: 'runs', title: 'Runs', below: ['run'] },
  { page: 'failures', title: 'Failures' },
  { page: 'pushes', title: 'Pushes' },
  { page: 'registries', title: 'Registries' },
];

type Access = 'unknown' | 'in' | 'out';

export function App() {
  const [access, setAccess] = useState<Access>('unknown');
  const [error, setError] = useState<ApiError>();
  const enter = useCallback(async (token?: string) => {
    setError(undefined);
    try {
      if (token !== undefined) await logIn(token);
      else await ask('overview');
      setAccess('in');
    } catch (thrown) {
      const told = thrown instanceof ApiError ? thrown : new ApiError(0, String(thrown));
      if (token !== undefined || told.status !== 401) setError(told);
      setAccess('out');
    }
  }, []);
  useEffect(() => {
    // The link that `tranship ui` prints has the token in it. It is taken out before it can be copied with the address.
    const token = /^#token=(.+)$/.exec(location.hash)?.[1];
    if (token !== undefined) history.replaceState(undefined, '', location.pathname);
    void enter(token);
  }, [enter]);
  if (access === 'unknown') return null;
  if (access === 'out') return <Login error={error} enter={enter} />;
  return <Shell loggedOut={() => setAccess('out')} />;
}

function Shell({ loggedOut }: { loggedOut: () => void }) {
  const route = useRoute();
  const { overview, change, stream } = useLive(loggedOut);
  const [theme, setTheme] = useState(readTheme());
  const main = useRef<HTMLElement>(null);
  const current = pages.find(({ page, below = [] }) => [page, ...below].includes(route.page));
  const title = current?.title ?? 'Not found';
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${title} · Tranship`;
    // Readers of screens hear where a link has led; at the start they hear the page from its top.
    if (isFirst.current) isFirst.current = false;
    else main.current?.focus();
    scrollTo(0, 0);
    // On a phone the pages are a row that is wider than the screen.
    document.querySelector('.pages [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [route.page, route.values.toString()]);
  const leave = () => void logOut().finally(loggedOut);
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <a class="brand" href={linkTo('')}>
          <img src="icon.svg" alt="" width="24" height="24" />
          Tranship
        </a>
        <span class="host" title={overview?.host.name}>
          {overview?.host.name}
        </span>
        <span class={`live ${stream === 'open' ? 'is-on' : ''}`} role="status">
          {stream === 'open' ? 'live' : 'connecting…'}
        </span>
        <button type="button" class="quiet" onClick={() => setTheme(nextTheme(theme))} aria-label={`Theme: ${theme}`}>
          <span class="only-wide">Theme: </span>
          {theme}
        </button>
        <button type="button" class="quiet" onClick={leave}>
          Log out
        </button>
      </header>
      <nav class="pages" aria-label="Pages">
        {pages.map(({ page, title: name }) => (
          <a key={page} href={linkTo(page)} aria-current={current?.page === page ? 'page' : undefined}>
            {name}
            {page === 'failures' && overview !== undefined && overview.tags.failing > 0 && (
              <span class="count">{overview.tags.failing > 999 ? '999+' : overview.tags.failing}</span>
            )}
          </a>
        ))}
      </nav>
      <main id="content" tabIndex={-1} ref={main}>
        {stream === 'lost' && (
          <p class="verdict plain">
            No connection to Tranship{overview && `: this is how it was at ${dateTime(overview.at)}`}.
          </p>
        )}
        <Page route={route} overview={overview} change={change} />
      </main>
    </div>
  );
}

function Page(props: PageProps & { route: Route }) {
  switch (props.route.page) {
    case '':
      return <OverviewPage {...props} />;
    case 'rules':
      return <RulesPage {...props} />;
    case 'rule':
      return <RulePage {...props} />;
    case 'tags':
      return <TagsPage {...props} />;
    case 'tag':
      return <TagPage {...props} />;
    case 'runs':
      return <RunsPage {...props} />;
    case 'run':
      return <RunPage {...props} />;
    case 'failures':
      return <FailuresPage {...props} />;
    case 'pushes':
      return <PushesPage {...props} />;
    case 'registries':
      return <RegistriesPage {...props} />;
    default:
      return <h1>There is no such page</h1>;
  }
}
