import { plural } from '../../core/status/format.ts';
import type { OverviewView, RedriveWish } from '../../core/status/view.ts';
import { redrive, syncNow } from '../api.ts';
import { ConfirmButton } from './confirm.tsx';

/** Tries again what failed: everything, or what the wish names. */
export function TryAgain({
  overview,
  wish,
  what,
  label = 'Try again',
  primary,
}: {
  overview: OverviewView | undefined;
  wish: RedriveWish;
  what: string;
  label?: string;
  primary?: boolean;
}) {
  if (overview?.actions.redrive !== true) return null;
  return (
    <ConfirmButton
      label={label}
      question={`Try ${what} again?`}
      explanation="What is in step by now is not copied again. It is a run of its own."
      primary={primary}
      act={() => redrive(wish)}
      done={(count) =>
        count === 0
          ? 'Nothing waits to be tried again: the next sync looks at it.'
          : `${plural(count, 'tag')} ${count === 1 ? 'is' : 'are'} tried again.`
      }
    />
  );
}

export function SyncNow({ overview }: { overview: OverviewView | undefined }) {
  if (overview?.actions.sync !== true) return null;
  return (
    <ConfirmButton
      label="Sync now"
      question="Sync all rules now?"
      explanation="Every tag of every rule is looked at, and what is new or changed is copied."
      act={syncNow}
      done={(count) =>
        count === 0 ? 'Nothing was started: such a run is under way.' : `${plural(count, 'rule')} started.`
      }
    />
  );
}
