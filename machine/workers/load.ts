/** How busy the threads were of late: parts of one. */
export interface Load {
  /** The part of the time that each event loop had something to do; the main thread's first. */
  loops: readonly number[];
  /** The part of the time that the main thread ran on a core. */
  mainCpu: number;
  /** Cores of the machine that nobody used. */
  idleCores: number;
}

/** A loop that is busier than this has no time left. */
const BUSY = 0.85;
/** A busy loop that runs less than this waits for a core: one more thread would wait for one too. */
const RUNS = 0.7;
/**
 * What nobody uses of the cores, below which a thread takes from others, such as the registries of a test. Where two
 * registries share two cores with us it was 0 to 0.4: a thread costs 20 to 30 MB there, saves no time over TLS, and a fifth
 * of it over http only with registries that do next to nothing.
 */
const SPARE_CORES = 0.5;

/** Whether one more thread would be of use: all that there are have enough to do, and the machine has cores to spare. */
export function needsThread({ loops, mainCpu, idleCores }: Load): boolean {
  return loops.every((busy) => busy > BUSY) && mainCpu > RUNS && idleCores > SPARE_CORES;
}

/**
 * Who takes the next move: who has the fewest. Of equals the main thread is the last, which has all else to do.
 * @returns the position of a thread; undefined for the main thread
 */
export function leastLoaded(mainMoves: number, threadMoves: readonly number[]): number | undefined {
  const fewest = Math.min(...threadMoves);
  return fewest <= mainMoves ? threadMoves.indexOf(fewest) : undefined;
}
