import * as v from 'valibot';

/** What a long worker outside of the stack must know of its settings, beside the names of its parts. */
const schema = v.object({
  attempts: v.pipe(v.number(), v.integer(), v.minValue(1)),
  backoffSeconds: v.pipe(v.number(), v.integer(), v.minValue(1)),
  createEcrRepositories: v.boolean(),
});

export type WorkerSettings = v.InferOutput<typeof schema>;

/** Reads the stack's output `WorkerSettings`; undefined where it is not what this version writes. */
export function parseWorkerSettings(text: string): WorkerSettings | undefined {
  try {
    const result = v.safeParse(schema, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}
