import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolEnvironment } from '../test/support/tools.ts';

/** Repositories, all their tags, from one registry to another. */
export interface Job {
  /** `host:port` */
  source: string;
  destination: string;
  /** `folder/name`, one or more. */
  repositories: string[];
  /** Both registries speak https, with certificates that nobody checks. */
  tls: boolean;
  proc: number;
  /** Where a client may keep its files; the same folder for the same pair of registries. */
  folder: string;
}

export interface Command {
  program: string;
  args: string[];
  env: NodeJS.ProcessEnv;
}

/** A program that copies, and how it is told to do a job. */
export interface Client {
  name: string;
  /** It remembers what it did: its second run is another thing than its first. */
  hasState: boolean;
  /** Takes any number of repositories in one run; others are started for each of them. */
  takesMany: boolean;
  /** Asks for the version. */
  version: string[];
  command(job: Job): Promise<Command>;
}

/** The built command of this checkout, and the peers that are on PATH. */
export function findClients(options: { baseline: string | undefined }): Client[] {
  const built = fileURLToPath(new URL('../dist/tranship.mjs', import.meta.url));
  const clients = [tranship('tranship', built)];
  if (options.baseline !== undefined) clients.push(tranship('baseline', options.baseline));
  for (const [name, make] of Object.entries(peers)) {
    const program = onPath(name);
    if (program === undefined) continue;
    const version = name === 'skopeo' ? ['--version'] : ['version'];
    const takesMany = name === 'regsync' || name === 'image-syncer';
    const command = (job: Job) => make(program, job);
    clients.push({ name, hasState: false, takesMany, version: [program, ...version], command });
  }
  return clients;
}

export function onPath(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

function tranship(name: string, file: string): Client {
  return {
    name,
    hasState: true,
    takesMany: true,
    version: [process.execPath, file, '--version'],
    async command(job) {
      const { auth, images } = await writeImageSyncerFiles(job);
      const state = join(job.folder, `state-${name}`);
      const flags = ['--auth', auth, '--images', images, '--proc', String(job.proc), '--state', state];
      return { program: process.execPath, args: [file, 'sync', ...flags], env: process.env };
    },
  };
}

const peers: Record<string, (program: string, job: Job) => Promise<Command>> = {
  async skopeo(program, { source, destination, repositories }) {
    const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    const flags = ['--insecure-policy', 'sync', '--all', '--src', 'docker', '--dest', 'docker', ...plain];
    const runs = repositories.map((repository) => {
      const parent = repository.slice(0, repository.lastIndexOf('/'));
      return [program, ...flags, `${source}/${repository}`, `${destination}/${parent}`];
    });
    return oneAfterAnother(runs, toolEnvironment());
  },

  async crane(program, { source, destination, repositories, proc }) {
    const runs = repositories.map((repository) => {
      const places = [source, destination].map((host) => `${host}/${repository}`);
      return [program, 'copy', '--all-tags', '--insecure', '--jobs', String(proc), ...places];
    });
    return oneAfterAnother(runs, process.env);
  },

  async regsync(program, { source, destination, repositories, tls, proc, folder }) {
    const config = {
      version: 1,
      creds: [source, destination].map((registry) => ({
        registry,
        tls: tls ? 'insecure' : 'disabled',
        reqConcurrent: proc,
      })),
      defaults: { parallel: proc },
      sync: repositories.map((repository) => ({
        source: `${source}/${repository}`,
        target: `${destination}/${repository}`,
        type: 'repository',
      })),
    };
    const file = join(folder, 'regsync.yaml');
    await writeFile(file, JSON.stringify(config));
    return { program, args: ['once', '--config', file, '--verbosity', 'error'], env: process.env };
  },

  async 'image-syncer'(program, job) {
    const { auth, images } = await writeImageSyncerFiles(job);
    const args = ['--auth', auth, '--images', images, '--proc', String(job.proc)];
    return { program, args, env: process.env };
  },
};

/** For programs that copy one repository in a run. What the shell takes is lost beside them. */
function oneAfterAnother(runs: string[][], env: NodeJS.ProcessEnv): Command {
  const quoted = runs.map((words) => words.map((word) => `'${word}'`).join(' '));
  return { program: '/bin/sh', args: ['-c', quoted.join(' && ')], env };
}

/** JSON is YAML. */
async function writeImageSyncerFiles({ source, destination, repositories, folder }: Job) {
  const auth = join(folder, 'auth.json');
  const images = join(folder, 'images.json');
  await writeFile(auth, JSON.stringify({ [source]: { insecure: true }, [destination]: { insecure: true } }));
  const rules = repositories.map((repository) => [`${source}/${repository}`, `${destination}/${repository}`]);
  await writeFile(images, JSON.stringify(Object.fromEntries(rules)));
  return { auth, images };
}
