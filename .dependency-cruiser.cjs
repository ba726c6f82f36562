/** Dependencies point inwards: core knows neither the terminal nor AWS; the hosts know core and not each other. */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, dependencyTypesNot: ['type-only'] } },
    {
      name: 'core-stays-inside',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: '^(cli|functions|infra|demo|test|bench)/' },
    },
    {
      name: 'core-knows-no-cloud',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: '(^|/)node_modules/(@aws|@middy|aws-cdk|constructs)' },
    },
    {
      name: 'cli-knows-no-infra',
      severity: 'error',
      from: { path: '^cli/' },
      to: { path: '^(infra|demo|test|bench)/' },
    },
    {
      name: 'functions-know-core-only',
      severity: 'error',
      from: { path: '^functions/' },
      to: { path: '^(cli|infra|demo|test|bench)/' },
    },
    {
      name: 'infra-knows-core-and-functions',
      severity: 'error',
      from: { path: '^infra/' },
      to: { path: '^(cli|demo|test|bench)/' },
    },
    {
      name: 'demo-is-no-test',
      severity: 'error',
      from: { path: '^demo/' },
      to: { path: '^(test|bench|functions|infra)/' },
    },
    // aws-lambda has types alone, and the Powertools' subpaths are beyond this resolver; tsc and esbuild find them.
    {
      name: 'not-to-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^(aws-lambda|@aws-lambda-powertools/.+/middleware)$' },
    },
    {
      name: 'no-dev-dependency-ships',
      severity: 'error',
      from: { path: '^(core|cli|functions)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    // dependency-cruiser cannot use TypeScript 7's compiler yet.
    parser: 'swc',
    enhancedResolveOptions: {
      extensions: ['.ts', '.mjs', '.js', '.json'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
