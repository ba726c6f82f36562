import { type AddressInfo, createServer } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** How many tags a repository of the registry has, whatever its name. */
export interface CheapContent {
  tags: number;
}

/**
 * A registry that costs next to nothing, on a thread of its own: any repository has the same tags, all of one image, and
 * nothing else. What is left to measure is the client.
 */
export function startCheapRegistry(content: CheapContent): Promise<{ host: string; close(): Promise<unknown> }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: content });
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (host: string) => resolve({ host, close: () => worker.terminate() }));
  });
}

function serve({ tags }: CheapContent): void {
  const names = Array.from({ length: tags }, (_, index) => `v1.${index}`).sort();
  const list = JSON.stringify({ name: 'any', tags: names });
  const fields = [
    'Content-Type: application/vnd.oci.image.manifest.v1+json',
    `Docker-Content-Digest: sha256:${'a'.repeat(64)}`,
    'Content-Length: 500',
  ];
  const answerTo = (line: string): string => {
    if (line.startsWith('HEAD')) return `HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\n\r\n`;
    const body = line.includes('/tags/list') ? list : '{}';
    return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
  const server = createServer((socket) => {
    let rest = '';
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      // A TLS hello: the client is to try plain http at once.
      if (bytes[0] === 0x16) return socket.destroy();
      rest += bytes.toString('latin1');
      let out = '';
      for (let end = rest.indexOf('\r\n\r\n'); end !== -1; end = rest.indexOf('\r\n\r\n')) {
        out += answerTo(rest.slice(0, rest.indexOf('\r\n')));
        rest = rest.slice(end + 4);
      }
      if (out !== '') socket.write(out);
    });
  });
  server.listen(0, '127.0.0.1', () => {
    parentPort?.postMessage(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
}

if (!isMainThread) serve(workerData);
