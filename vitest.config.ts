import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Two cores: one file of real registries beside one of plain functions.
    maxWorkers: 2,
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
        // No test of these leaves anything behind in a module, so that a worker loads each of them once.
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false },
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
          isolate: false,
        },
      },
    ],
  },
});
