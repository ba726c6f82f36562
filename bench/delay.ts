import { type AddressInfo, connect, createServer } from 'node:net';

/**
 * A way to a server on loopback that takes so long, each time something is sent to the server.
 * @param onRequest called each time
 */
export async function startDelay(
  upstream: string,
  ms: number,
  onRequest?: () => void,
): Promise<{ host: string; close(): void }> {
  const [hostname = '', port] = upstream.split(':');
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    near.setNoDelay(true);
    far.setNoDelay(true);
    near.on('data', (bytes) => {
      onRequest?.();
      setTimeout(() => far.write(bytes), ms);
    });
    far.pipe(near);
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => void server.close() };
}
