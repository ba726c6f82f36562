import { readdirSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { isAbsolute, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { type CodeSplittingGroup, type CodeSplittingNameFunction, type Plugin, rolldown } from 'rolldown';
import { makeBundle } from './infra/bundle.ts';
import { functionNames } from './infra/function-code.ts';

/**
 * `npm run build`: the package as users get it, bundled so that it installs nothing else. The launcher is apart so that it can
 * look at Node's version before the rest is read.
 */
const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  legalComments: 'none',
  // Errors are told apart, and stacks are read, by names. esbuild's keepNames sets them one by one when a file is loaded, a tenth
  // of the time to the first request.
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: 'warning',
} as const;

/** CommonJS packages inside an ES module still ask for `require`. */
const requireBanner = {
  js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
};

/**
 * Bundles the command, `main.cjs`, its threads, `thread.cjs`, and the GitHub Action, `action.cjs`. All load the other
 * files of the directory when a command needs them. They are CommonJS, whose code can be kept (cli/code-cache.ts).
 * @returns the files that are in them
 */
export async function buildCommand(outdir: string): Promise<string[]> {
  const bundle = await rolldown({
    input: { main: 'cli/main.ts', action: 'action/main.ts', thread: 'machine/workers/thread.ts' },
    platform: 'node',
    plugins: [leanBuiltins, latePackages],
  });
  const { output } = await bundle.write({
    dir: outdir,
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    comments: false,
    // Names stay: errors are told apart, and stacks are read, by them. A text of ASCII takes half the memory.
    minify: { compress: true, mangle: false, codegen: { asciiOnly: true } },
    topLevelVar: true,
    codeSplitting: { groups },
  });
  await bundle.close();
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  return modules.filter(isAbsolute).map(pathOf);
}

/** What a run may do without. */
const late = {
  /** Patterns, ranges of versions, schedules, the width of text that is not ASCII, YAML. */
  packages: ['croner', 're2js', 'semver', 'string-width', 'wrap-ansi', 'yaml'],
  /** Credential helpers, tunnels through proxies, compressed responses, threads, files read on the side. */
  builtins: ['child_process', 'dns/promises', 'fs/promises', 'http', 'https', 'worker_threads', 'zlib'],
};

/**
 * Node's own modules, without their form as ES modules. That has all exports as values, and to have them reads those that
 * load much more when they are read: `node:http` all of `fetch`, `node:dns` the settings of resolvers. Together a third of
 * the time to the first request. Here only those exports are read that something imports, functions of
 * {@link late} ones when they are first used.
 */
const leanBuiltins: Plugin = {
  name: 'lean-builtins',
  resolveId(path, _importer, { kind }) {
    if (!path.startsWith('node:') && !isBuiltin(path)) return null;
    const name = path.replace(/^(?:node:)?/, 'node:');
    // The bundler's own `require` needs it.
    if (name === 'node:module') return { id: name, external: true };
    return `\0${kind === 'require-call' ? 'required' : 'imported'}/${name.slice('node:'.length)}`;
  },
  load(id) {
    const [, kind, name = ''] = /^\0(required|imported)\/(.*)$/.exec(id) ?? [];
    if (kind === undefined) return null;
    const builtin = `process.getBuiltinModule('node:${name}')`;
    if (kind === 'required') return `module.exports = ${builtin};`;
    const module: object = process.getBuiltinModule(`node:${name}`) ?? {};
    const names = Object.keys(module).filter((key) => key !== 'default');
    const isLateModule = late.builtins.includes(name);
    // What has a getter is loaded by Node itself when it is read, as `ReadStream` of `node:fs`.
    const isLate = (key: string) =>
      (isLateModule || Object.getOwnPropertyDescriptor(module, key)?.get !== undefined) &&
      typeof Reflect.get(module, key) === 'function';
    const now = names.filter((key) => !isLate(key));
    const whole = `new Proxy({}, { get: (_, key) => Reflect.get(${builtin}, key) })`;
    return [
      lateExports(names.filter(isLate), builtin),
      `const builtin = ${isLateModule ? `/* @__PURE__ */ ${whole}` : builtin};`,
      'export default builtin;',
      ...now.map((key) => `export const ${key} = /* @__PURE__ */ (() => builtin.${key})();`),
    ].join('\n');
  },
};

/**
 * Packages that are run through when one of their exports is first used, not when the file that they are in is loaded. All that
 * is imported of them are functions and classes.
 */
const latePackages: Plugin = {
  name: 'late-packages',
  resolveId: (path, _importer, { kind }) =>
    kind === 'import-statement' && late.packages.includes(path) ? `\0late/${path}` : null,
  async load(id) {
    const [, name] = /^\0late\/(.*)$/.exec(id) ?? [];
    if (name === undefined) return null;
    const names = Object.keys(await import(name)).filter((key) => /^\w+$/.test(key));
    return lateExports(names, `require(${JSON.stringify(name)})`);
  },
};

/**
 * Functions and classes that stand for those of a module until one of them is used.
 * @param module JavaScript that loads it
 */
function lateExports(names: readonly string[], module: string): string {
  return `const late = (key) => {
      const load = () => ${module}[key];
      return new Proxy(class {}, {
        get: (_, property) => Reflect.get(load(), property),
        apply: (_, self, args) => Reflect.apply(load(), self, args),
        construct: (_, args) => Reflect.construct(load(), args),
      });
    };
    ${names.map((key) => `const _${key} = /* @__PURE__ */ late('${key}'); export { _${key} as ${key} };`).join('\n')}`;
}

/**
 * What most commands need is put into three files, by when it is needed: at the start, in a thread too, for a run. A file costs
 * half a millisecond of every start that loads it, whatever its length; all else is split by who needs it, into many.
 */
const groups: CodeSplittingGroup[] = [
  groupOf('start', (_, importers) => importers.includes('cli/main.ts')),
  groupOf('move', (_, importers) => importers.includes('machine/workers/thread.ts')),
  groupOf('run', (id) => id === 'cli/commands/sync.ts'),
];

/** A file with certain modules and all that they import, but for what an earlier one has. Paths are from here. */
function groupOf(name: string, isRoot: (id: string, importers: readonly string[]) => boolean): CodeSplittingGroup {
  const isIn: CodeSplittingNameFunction = (id, modules) => {
    const importers = modules.getModuleInfo(id)?.importers ?? [];
    return isRoot(pathOf(id), importers.map(pathOf)) ? name : null;
  };
  return { name: isIn, debugName: name };
}

const pathOf = (id: string) => relative(import.meta.dirname, id).replaceAll('\\', '/');

/**
 * Bundles the status page, which `tranship ui` and `serve` hand out as it is: nothing of it comes from elsewhere.
 * @returns the files that went into it
 */
export async function buildPage(outdir: string): Promise<string[]> {
  const { metafile } = await build({
    bundle: true,
    platform: 'browser',
    format: 'esm',
    // The first that know light-dark(), of 2024.
    target: ['chrome123', 'firefox120', 'safari17.5'],
    legalComments: 'none',
    logLevel: 'warning',
    minify: true,
    metafile: true,
    entryPoints: { app: 'ui/main.tsx', style: 'ui/app.css' },
    tsconfig: 'ui/tsconfig.json',
    outdir,
    entryNames: '[name]',
  });
  await rename(join(outdir, 'style.css'), join(outdir, 'app.css'));
  for (const name of ['index.html', 'icon.svg']) await copyFile(join('ui', name), join(outdir, name));
  return Object.keys(metafile.inputs);
}

/** Builds all that is published, into `dist`. */
export async function buildAll(): Promise<void> {
  await rm('dist', { recursive: true, force: true });
  const inputs = [...(await buildCommand('dist')), ...(await buildPage('dist/ui'))];
  await build({
    ...common,
    entryPoints: ['cli/launch.ts'],
    outfile: 'dist/tranship.mjs',
  });
  // The construct, `tranship/infra`: Node runs no TypeScript below node_modules. The functions' bundles are beside it.
  const { metafile } = await build({
    ...common,
    entryPoints: ['infra/index.ts'],
    outfile: 'dist/infra.mjs',
    external: ['aws-cdk-lib', 'constructs', 'esbuild'],
    metafile: true,
    banner: requireBanner,
  });
  inputs.push(...Object.keys(metafile.inputs));
  await mkdir('dist/functions/worker', { recursive: true });
  for (const name of [...functionNames, 'worker'] as const) {
    const bundle = await makeBundle(name);
    inputs.push(...bundle.inputs);
    // Less than a third of their size; they are unpacked when an app is synthesised.
    await writeFile(`dist/functions/${name}.json.gz`, gzipSync(JSON.stringify(bundle.files), { level: 9 }));
  }
  await copyFile('functions/worker/Dockerfile', 'dist/functions/worker/Dockerfile');
  await writeFile('dist/THIRD-PARTY.txt', thirdPartyNotices(inputs));
  await chmod('dist/tranship.mjs', 0o755);
}

/** The licences of all packages that are in the bundles: most ask for their text to go along. */
function thirdPartyNotices(inputs: readonly string[]): string {
  const folders = inputs.flatMap((input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []);
  return [...new Set(folders)].sort().map(noticeOf).join('\n\n----\n\n');
}

function noticeOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? '' : `\n\n${readFileSync(join(folder, file), 'utf8').trim()}`;
  return `${name} ${version} (${license})${text}`;
}

if (import.meta.main) await buildAll();
