import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Both halves of V8's young generation, which by itself may grow to seven times as much. */
const YOUNG_BYTES = 8 * 1024 * 1024;

/**
 * Has V8 keep its heap near to what is alive. The young generation grows no more once it has 8 MiB, and the old one may
 * double before it is collected, where it may be four times as large by itself. Both are read whenever V8 decides on
 * them, so they need no flag on the command line. Measured on 100,000 unchanged tags: peak memory 119 MiB instead of 300,
 * for up to a tenth more CPU.
 *
 * @returns takes it back. To be called before the process ends, and before other files are loaded: V8 refuses a compile
 *   cache that was written under other flags.
 */
export function keepHeapLean(): () => void {
  setFlagsFromString('--heap-growing-percent=100');
  // It grows only when V8 collects, and then at most to twice its length.
  const collections = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    if (young === undefined || young.space_size < YOUNG_BYTES) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    collections.disconnect();
  });
  collections.observe({ entryTypes: ['gc'] });
  return () => {
    collections.disconnect();
    setFlagsFromString('--heap-growing-percent=0');
    setFlagsFromString('--semi-space-growth-factor=2');
  };
}
