import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolEnvironment } from '../test/support/tools.ts';

/** One repository, all its tags, from one registry to another. */
export interface Job {
  /** `host:port` */
  source: string;
  destination: string;
  /** `folder/name` */
  repository: string;
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
  command(job: Job): Promise<Command>;
}

/** The built command of this checkout, and the peers that are on PATH. */
export function findClients(options: { baseline: string | undefined }): Client[] {
  const built = fileURLToPath(new URL('../dist/tranship.mjs', import.meta.url));
  const clients = [tranship('tranship', built)];
  if (options.baseline !== undefined) clients.push(tranship('baseline', options.baseline));
  for (const [name, make] of Object.entries(peers)) {
    const program = onPath(name);
    if (program !== undefined) clients.push({ name, hasState: false, command: (job) => make(program, job) });
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
    async command(job) {
      const { auth, images } = await writeImageSyncerFiles(job);
      const state = join(job.folder, `state-${name}`);
      const flags = ['--auth', auth, '--images', images, '--proc', String(job.proc), '--state', state];
      return { program: process.execPath, args: [file, 'sync', ...flags], env: process.env };
    },
  };
}

const peers: Record<string, (program: string, job: Job) => Promise<Command>> = {
  async skopeo(program, { source, destination, repository }) {
    const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    const parent = repository.slice(0, repository.lastIndexOf('/'));
    const from = `${source}/${repository}`;
    const to = `${destination}/${parent}`;
    const args = ['--insecure-policy', 'sync', '--all', '--src', 'docker', '--dest', 'docker', ...plain, from, to];
    return { program, args, env: toolEnvironment() };
  },

  async crane(program, { source, destination, repository, proc }) {
    const repositories = [source, destination].map((host) => `${host}/${repository}`);
    const args = ['copy', '--all-tags', '--insecure', '--jobs', String(proc), ...repositories];
    return { program, args, env: process.env };
  },

  async regsync(program, { source, destination, repository, proc, folder }) {
    const config = {
      version: 1,
      creds: [source, destination].map((registry) => ({ registry, tls: 'disabled', reqConcurrent: proc })),
      defaults: { parallel: proc },
      sync: [{ source: `${source}/${repository}`, target: `${destination}/${repository}`, type: 'repository' }],
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

/** JSON is YAML. */
async function writeImageSyncerFiles({ source, destination, repository, folder }: Job) {
  const auth = join(folder, 'auth.json');
  const images = join(folder, 'images.json');
  await writeFile(auth, JSON.stringify({ [source]: { insecure: true }, [destination]: { insecure: true } }));
  await writeFile(images, JSON.stringify({ [`${source}/${repository}`]: `${destination}/${repository}` }));
  return { auth, images };
}
