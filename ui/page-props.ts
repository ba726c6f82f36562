import type { OverviewView } from '../core/status/view.ts';
import type { Route } from './route.ts';

/** What every page gets. */
export interface PageProps {
  route: Route;
  /** Undefined until the first one has come. */
  overview: OverviewView | undefined;
  /** Counts up when something has changed. */
  change: number;
}
