import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // One more than the two cores that CI has: files that start registries and the deployed stack wait a lot.
    maxWorkers: 3,
    // What a test changes in its process (timers, variables), it sets back, so that a worker loads each module once.
    isolate: false,
    // The CDK's check of templates costs each process 5 s of CPU. `npm run synth` and app.test.ts have it on.
    env: { CDK_VALIDATION: 'false' },
    // Bounds that tell of a hang, far beyond what a test needs on a busy machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 120_000 } },
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'flow',
          include: ['test/flow/**/*.test.ts'],
          exclude: ['test/flow/deployed-*.test.ts'],
          globalSetup: ['test/support/global-setup.ts', 'test/support/build-command.ts'],
        },
      },
      {
        extends: true,
        test: {
          // Whatever synthesises a stack: a worker loads the CDK once, which takes five seconds of a processor.
          name: 'stack',
          include: ['test/infra/**/*.test.ts', 'test/flow/deployed-*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
        },
      },
    ],
  },
});
