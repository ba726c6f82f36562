import { writeFile } from 'node:fs/promises';
import { buildAll } from '../build.ts';
import { findClients } from './clients.ts';
import { measureFloors } from './floors.ts';
import { parseOptions, usage } from './options.ts';
import { type Result, runScenario } from './scenarios.ts';
import { describeMachine, renderResult, renderSummary } from './table.ts';

const options = parseOptions(process.argv.slice(2));
if (options === 'help') {
  process.stdout.write(usage);
} else {
  const clients = findClients(options).filter(({ name }) => options.clients?.includes(name) ?? true);
  // What is measured is what users get, and this checkout's.
  await buildAll();
  const results: Result[] = [];
  process.stdout.write(`${describeMachine()}, proc ${options.proc}, rounds ${options.rounds}\n\n`);
  for (const scenario of options.scenarios) {
    const say = (line: string) => process.stderr.write(`${line}\n`);
    const result = await runScenario(scenario, clients, options, say);
    results.push(result);
    process.stdout.write(`${renderResult(result)}\n`);
  }
  const floors = await measureFloors();
  process.stdout.write(`${renderSummary(results, floors)}\n`);
  if (options.json !== undefined) {
    await writeFile(
      options.json,
      `${JSON.stringify({ machine: describeMachine(), options, floors, results }, undefined, 2)}\n`,
    );
  }
}
