/** A registry that is to be left alone, by every worker. */
export interface Park {
  registry: string;
  /** Epoch ms. */
  until: number;
  reason: string;
}

export interface Parks {
  /** Leave this registry alone until then; the later of two parks holds. */
  park(registry: string, until: number, reason: string): Promise<void>;
  /** Parks that are still in force at `now`. */
  parks(now: number): Promise<Park[]>;
}
