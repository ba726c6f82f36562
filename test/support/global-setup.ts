import { findTool, howToInstall, installTools, toolNames } from './tools.ts';

/**
 * Gets the real registry and skopeo where the machine has none. Without them, their tests are skipped, or fail under
 * CI.
 */
export default async function setup(): Promise<void> {
  const missing = toolNames.filter((name) => findTool(name) === undefined);
  if (missing.length === 0) return;
  try {
    await installTools(missing);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(
      `\n*** Tests against real registries will ${process.env.CI ? 'FAIL' : 'be SKIPPED'}: no ${missing.join(', ')}.` +
        `\n*** Install them (${howToInstall(missing)}), or let the tests fetch them: ${reason.trim()}\n`,
    );
  }
}
