import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { findTool, howToInstall, toolEnvironment } from './tools.ts';

/** Starts Debian's Chromium without a window, with a profile of its own that is thrown away. */
export function startBrowser(): Promise<Browser> {
  const executablePath = findTool('chromium');
  if (executablePath === undefined) throw new Error(`chromium is missing; ${howToInstall(['chromium'])}`);
  return chromium.launch({
    executablePath,
    env: toolEnvironment() as Record<string, string>,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** What axe finds wrong on a page, a line each. https://github.com/dequelabs/axe-core */
export async function findBarriers(page: Page): Promise<string[]> {
  // By the debugger, which a Content-Security-Policy does not hold back; the page itself may load no such script.
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { axe: there } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
    interface Violation {
      id: string;
      nodes: Array<{ html: string; failureSummary?: string }>;
    }
    const { violations } = await there.run();
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary = '' }) => `${id}: ${html.slice(0, 150)} ${failureSummary.slice(0, 300)}`),
    );
  });
}
