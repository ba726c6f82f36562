import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';

/** Where lines go. */
export interface Output {
  write(text: string): unknown;
  /** For lines of which there are thousands: they may wait a moment, and only a killed process loses them. */
  writeSoon?(text: string): unknown;
}

/** Shows the events of a run as they happen. */
export interface View {
  emit: Emit;
  /** Leaves the screen in order. Call it before anything else is printed. @param run is printed for programs */
  close(run?: RunRecord): void;
}
