import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushMultiArch } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { findBarriers, startBrowser } from '../support/browser.ts';
import { openWorkplace, type Workplace } from '../support/command.ts';
import { denied } from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';
import { toolsReady } from '../support/tools.ts';
import { startUi, type Ui } from '../support/ui.ts';

/** A browser waits for what it is told of: a second for a change, more on a busy machine. */
const PATIENCE_MS = 60_000;

describe.skipIf(!toolsReady('chromium'))('the status page in a browser', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let front: FaultyRegistry;
  let place: Workplace;
  let browser: Browser;
  let page: Page;
  let ui: Ui;
  const complaints: string[] = [];
  const elsewhere: string[] = [];

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    front = await startFaultyRegistry({ upstream: destination.url });
    for (const tag of ['1.0', '1.1', '2.0']) {
      await pushMultiArch(
        { url: source.url, repository: 'team/app' },
        { seed: tag, tag, platforms: ['linux/amd64', 'linux/arm64'] },
      );
    }
    place = openWorkplace([source.host, destination.host, front.host]);
    place.write('images.yaml', `${source.host}/team/app: ${front.host}/mirror/app\n`);
    front.setFaults([{ when: { method: 'PUT', path: /manifests\/2\.0/ }, effect: denied() }]);
    expect(await place.run(['sync'])).toMatchObject({ code: 1 });

    ui = await startUi(place);
    browser = await startBrowser();
    page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('request', (request) => {
      if (!request.url().startsWith(new URL(ui.link).origin)) elsewhere.push(request.url());
    });
  });
  afterAll(async () => {
    await browser?.close();
    await ui?.stop();
    await front.close();
    await Promise.all([source.close(), destination.close()]);
    place.remove();
  });

  it('leads from what is not in step to its reason, tries it again, and sees it go green', async () => {
    await page.goto(ui.link);
    await page.getByText('1 tag is not in step.').waitFor();
    expect(page.url()).not.toContain('token');
    // By keyboard alone.
    await page.getByRole('link', { name: 'See why' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: `denied at ${front.host}` }).waitFor();
    await page.getByText('What to do:').waitFor();
    await page.getByRole('link', { name: `${front.host}/mirror/app:2.0` }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Why: denied' }).waitFor();
    await page.getByText('never copied').first().waitFor();

    front.setFaults([]);
    await page.getByRole('button', { name: 'Try again' }).focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Try this tag again?' });
    await dialog.getByRole('button', { name: 'Cancel' }).waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect(destination.count('put manifest')).toBe(8);
    await page.keyboard.press('Enter');
    await dialog.waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: `${front.host}/mirror/app:2.0 in step` }).waitFor();
    await page.getByText('copied byte for byte').waitFor();

    await page.getByRole('button', { name: 'Read from the registry' }).click();
    await page.getByText('linux/amd64').waitFor();
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.getByText('Everything is in step.').waitFor();
    await page.getByRole('button', { name: 'Sync now' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Sync now' }).click();
    await page.getByRole('cell', { name: 'by-hand' }).waitFor();
  });

  it('has no barriers in light or dark, and nothing is wider than a small phone', async () => {
    const tag = `destination=${encodeURIComponent(`${front.host}/mirror/app:2.0`)}`;
    const repository = `repository=${encodeURIComponent(`${front.host}/mirror/app`)}`;
    const rule = `id=${encodeURIComponent(`${source.host}/team/app`)}`;
    const pages = [
      '',
      'rules',
      `rule?${rule}`,
      'tags',
      `tags?${repository}`,
      `tag?${tag}`,
      'runs',
      'failures',
      'pushes',
    ];
    const found: string[] = [];
    for (const [colorScheme, width] of [
      ['light', 1280],
      ['dark', 360],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      for (const name of [...pages, 'registries']) {
        await page.evaluate(`location.hash = ${JSON.stringify(`#/${name}`)}`);
        await page.locator('main h1').waitFor();
        await expect.poll(() => page.locator('[aria-busy]').count()).toBe(0);
        found.push(...(await findBarriers(page)).map((barrier) => `${colorScheme} ${name}: ${barrier}`));
        const tooWide = Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth'));
        if (tooWide > 0) found.push(`${colorScheme} ${name}: ${tooWide} px wider than ${width}`);
      }
    }
    expect(found).toEqual([]);
  });

  it('asks for the token again where the login is over', async () => {
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').fill('not the token at all');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('this is not the token').waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await page.getByLabel('Token').fill(new URL(ui.link).hash.replace('#token=', ''));
    await page.keyboard.press('Enter');
    // Where it was left.
    await page.getByRole('heading', { name: 'Registries' }).waitFor();
  });

  it('shows nothing of another tag, or of half an answer, where a question fails', async () => {
    const goTo = (tag: string) => {
      const destination = encodeURIComponent(`${front.host}/mirror/app:${tag}`);
      return page.evaluate(`location.hash = ${JSON.stringify(`#/tag?destination=${destination}`)}`);
    };
    const heading = (tag: string) => page.getByRole('heading', { name: `${front.host}/mirror/app:${tag} in step` });
    await goTo('1.0');
    await heading('1.0').waitFor();
    await page.route('**/api/tag?*', (route) => route.abort());
    await goTo('1.1');
    await page.getByRole('alert').getByText('Tranship does not answer').waitFor();
    expect(await heading('1.0').count()).toBe(0);
    await page.unroute('**/api/tag?*');
    await page.route('**/api/tag?*', (route) => route.fulfill({ contentType: 'application/json', body: '{"dest' }));
    await goTo('2.0');
    await page.getByRole('alert').getByText('The answer broke off').waitFor();
    await page.unroute('**/api/tag?*');
    await goTo('1.1');
    await heading('1.1').waitFor();
  });

  it('says that there is no connection before anything has come, too', async () => {
    await page.route('**/api/live', (route) => route.abort());
    await page.reload();
    await page.getByText('No connection to Tranship.', { exact: true }).waitFor();
    await page.unroute('**/api/live');
    // It comes back by itself.
    await page.getByText('live', { exact: true }).waitFor();
  });

  it('asked nothing of anybody else, broke no rule of its own, and says when it is left alone', async () => {
    expect(elsewhere).toEqual([]);
    // A browser notes each refused request itself, and the streams that were cut off above.
    const noted = /401 \(Unauthorized\)|net::ERR_FAILED/;
    expect(complaints.filter((text) => !noted.test(text))).toEqual([]);
    const stopped = ui.stop();
    await page.getByText('No connection to Tranship').waitFor();
    expect(await stopped).toMatchObject({ code: 0, stderr: '' });
  });
});
