/**
 * Dependencies point inwards: core knows neither the terminal nor AWS; the two hosts know core and not each other; the command and
 * the infrastructure know both. Imports of types count like all others.
 */
const forbidden = (name, from, to) => ({ name, severity: 'error', from: { path: `^${from}/` }, to: { path: to } });

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, dependencyTypesNot: ['type-only'] } },
    forbidden('core-stays-inside', 'core', '^(machine|functions|cli|infra|testing|demo|test|bench|ui)/'),
    forbidden('core-knows-no-cloud', 'core', '(^|/)node_modules/(@aws|@middy|aws-cdk|constructs)'),
    forbidden('machine-knows-core-only', 'machine', '^(functions|cli|infra|testing|demo|test|bench|ui)/'),
    {
      name: 'sql-stays-in-the-state-folder',
      severity: 'error',
      from: { path: '^(machine|cli|action)/', pathNot: '^machine/state/' },
      to: {
        path: '^machine/state/',
        pathNot: '^machine/state/(state|state-dir)\\.ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    forbidden('functions-know-core-only', 'functions', '^(machine|cli|infra|testing|demo|test|bench)/'),
    forbidden('cli-knows-the-hosts', 'cli', '^(action|infra|testing|demo|test|bench)/'),
    forbidden('action-is-the-command-on-github', 'action', '^(functions|infra|testing|demo|test|bench)/'),
    forbidden('infra-knows-core-and-functions', 'infra', '^(machine|cli|testing|demo|test|bench)/'),
    forbidden('ui-knows-core-only', 'ui', '^(machine|cli|functions|infra|testing|demo|test|bench)/'),
    forbidden('testing-knows-core-only', 'testing', '^(machine|functions|cli|infra|demo|test|bench)/'),
    forbidden('demo-is-no-test', 'demo', '^(test|bench|functions|infra)/'),
    // aws-lambda has types alone, and the Powertools' subpaths are beyond this resolver; tsc and esbuild find them.
    {
      name: 'not-to-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^(aws-lambda|@aws-lambda-powertools/.+/middleware)$' },
    },
    // What ships is bundled, so that the package itself has no dependencies.
    {
      name: 'no-undeclared-dependency',
      severity: 'error',
      from: { path: '^(core|machine|cli|functions|action|infra)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    // dependency-cruiser cannot use TypeScript 7's compiler yet.
    parser: 'swc',
    enhancedResolveOptions: {
      extensions: ['.ts', '.tsx', '.mjs', '.js', '.json'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
