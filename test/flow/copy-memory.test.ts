import { afterAll, beforeAll, expect, it } from 'vitest';
import { OCI_CONFIG, OCI_MANIFEST } from '../../core/model/media-types.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { openWorkplace, type Workplace } from '../support/command.ts';

const mebibyte = 2 ** 20;
/** One layer that is more than the bound itself, and more than enough beside it to fill all slots. */
const layersMib = [320, ...Array.from({ length: 15 }, () => 8)];
const boundMib = 250;

let source: EmbeddedRegistry;
let destination: EmbeddedRegistry;
let place: Workplace;

beforeAll(async () => {
  [source, destination] = await Promise.all([startRegistry(), startRegistry({ discard: true })]);
  place = openWorkplace([source.host, destination.host]);
});
afterAll(async () => {
  place.remove();
  await Promise.all([source.close(), destination.close()]);
});

it(`copies a layer of ${layersMib[0]} MiB with less than ${boundMib} MiB of memory, 16 blobs in flight`, async () => {
  const layers = layersMib.map((mib, index) => ({
    mediaType: 'application/octet-stream',
    ...source.content.addGeneratedBlob('big/app', `memory ${index}`, mib * mebibyte),
  }));
  const configuration = source.content.addBlob('big/app', Buffer.from('{}'));
  const describe = ({ digest, size }: { digest: string; size: number }) => ({ digest, size });
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, ...describe(configuration) },
    layers: layers.map(({ mediaType, ...layer }) => ({ mediaType, ...describe(layer) })),
  };
  source.content.putManifest('big/app', 'v1', OCI_MANIFEST, Buffer.from(JSON.stringify(manifest)));
  place.write('images.yaml', `${source.host}/big/app: ${destination.host}/big/app\n`);

  const tellPeak = "process.on('exit',()=>process.stderr.write('peak '+process.resourceUsage().maxRSS))";
  const ended = await place.run(['sync', '--proc', '16'], {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tellPeak)}`,
  });

  expect(ended.code).toBe(0);
  const moved = layersMib.reduce((sum, mib) => sum + mib * mebibyte, configuration.size);
  expect(destination.requests.reduce((sum, { blobBytes }) => sum + blobBytes, 0)).toBe(moved);
  const peakKib = Number(/peak (\d+)/.exec(ended.stderr)?.[1]);
  expect(peakKib / 1024).toBeLessThan(boundMib);
});
