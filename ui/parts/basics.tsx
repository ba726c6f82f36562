import type { ComponentChildren } from 'preact';
import type { RunView } from '../../core/status/view.ts';
import type { Asked } from '../live.ts';
import { linkTo } from '../route.ts';
import { ago, ahead, dateTime } from '../time.ts';

/** The head of a page, with what can be done on it. */
export function Head({ title, children }: { title: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="head">
      <h1>{title}</h1>
      {children !== undefined && <div class="actions">{children}</div>}
    </div>
  );
}

export function Card({ title, children, id }: { title: string; children: ComponentChildren; id: string }) {
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  );
}

/** What stands where there is nothing to show, and why. */
export function Empty(props: { title: string; children?: ComponentChildren; isPage?: boolean }) {
  const { title, children, isPage } = props;
  return (
    <div class="empty">
      {isPage ? <h1 class="empty-title">{title}</h1> : <p class="empty-title">{title}</p>}
      {children !== undefined && <p class="dim">{children}</p>}
    </div>
  );
}

export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'plain';

export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

const states: Record<string, { tone: Tone; text: string }> = {
  'in-step': { tone: 'good', text: 'in step' },
  copied: { tone: 'good', text: 'copied' },
  unchanged: { tone: 'good', text: 'unchanged' },
  deleted: { tone: 'plain', text: 'deleted' },
  empty: { tone: 'plain', text: 'no such platform' },
  gone: { tone: 'warn', text: 'gone' },
  failed: { tone: 'bad', text: 'failed' },
  deferred: { tone: 'warn', text: 'deferred' },
  unknown: { tone: 'plain', text: 'not known' },
};

/** The state of a tag, or how it ended in a run. */
export function StateBadge({ state }: { state: string }) {
  const { tone, text } = states[state] ?? { tone: 'plain' as const, text: state };
  return <Badge tone={tone}>{text}</Badge>;
}

export function RunBadge({ run }: { run: RunView }) {
  if (run.state === 'running') return <Badge tone="busy">running</Badge>;
  if (run.state === 'interrupted') return <Badge tone="warn">interrupted</Badge>;
  const { failed, deferred } = run.counts;
  if (failed + run.ruleFailures.length > 0) return <Badge tone="bad">failed</Badge>;
  return deferred > 0 ? <Badge tone="warn">deferred</Badge> : <Badge tone="good">done</Badge>;
}

export function Time({ at, now }: { at: number; now: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={dateTime(at)}>
      {at > now ? ahead(at, now) : ago(at, now)}
    </time>
  );
}

/** A reference that may be long; it breaks where registries' names have their joints. */
export function Name({ text, destination }: { text: string; destination?: boolean }) {
  if (text === '') return null;
  const parts = text.split(/(?<=[/:@])/);
  const name = parts.map((part, at) => (
    <>
      {at > 0 && <wbr />}
      {part}
    </>
  ));
  if (destination !== true) return <span class="name">{name}</span>;
  return (
    <a class="name" href={linkTo('tag', { destination: text })}>
      {name}
    </a>
  );
}

/**
 * What is being waited for, or why it is not there; the answer itself otherwise.
 * @param missing what the page says where the server knows no such thing
 */
export function Loaded<View>(props: {
  asked: Asked<View>;
  missing?: string;
  children: (view: View) => ComponentChildren;
}) {
  const { asked, missing, children } = props;
  const { view, error } = asked;
  if (error?.status === 404 && missing !== undefined) return <Empty title={missing} isPage />;
  return (
    <>
      {error !== undefined && (
        <p class="error" role="alert">
          {error.message}
          {error.mend !== undefined && `. ${error.mend}`}
        </p>
      )}
      {view === undefined ? error === undefined && <div class="skeleton" aria-busy="true" /> : children(view)}
    </>
  );
}

export function Bar({ parts, total, label }: { parts: Array<[Tone, number]>; total: number; label: string }) {
  return (
    <div class="bar" role="img" aria-label={label}>
      {parts
        .filter(([, value]) => value > 0)
        .map(([tone, value]) => (
          <div key={tone} class={tone} style={{ width: `${total === 0 ? 0 : (100 * value) / total}%` }} />
        ))}
    </div>
  );
}
