import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';

/** Where lines go: a stream, or a test's list. */
export interface Output {
  write(text: string): unknown;
}

/** Shows what happens while it happens. */
export interface View {
  emit: Emit;
  /** Leaves the screen in order; for programs, the run that was shown. To be called before anything else is printed. */
  close(run?: RunRecord): void;
}
