import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Answer } from './lambda-process.ts';
import { parseTrace, type Trace } from './trace.ts';

export interface FunctionUrl {
  url: string;
  close(): Promise<void>;
}

/** Function URLs take 6 MB. */
const MAX_BYTES = 6 * 1024 * 1024;

/**
 * Serves a function as its URL does: requests become events of the payload format 2.0.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
 */
export async function openFunctionUrl(
  invoke: (event: unknown, trace: Trace | undefined) => Promise<Answer>,
): Promise<FunctionUrl> {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    if (body.length > MAX_BYTES) {
      response.writeHead(413).end();
      return;
    }
    const answer = await invoke(toEvent(request, body), parseTrace(request.headers['x-amzn-trace-id']?.toString()));
    if (!answer.ok) {
      response.writeHead(answer.type === 'TooManyRequestsException' ? 429 : 502).end();
      return;
    }
    const { statusCode, headers, body: text } = JSON.parse(answer.payload);
    response.writeHead(statusCode, headers).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function toEvent({ method, url = '/', headers }: IncomingMessage, body: Buffer): unknown {
  const [path, query = ''] = url.split('?', 2);
  // Anything but plain text and JSON is passed on as base64.
  const isText = /^(text\/|application\/(json|javascript|xml)\b)/.test(headers['content-type'] ?? '');
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(',')])),
    requestContext: {
      requestId: randomUUID(),
      stage: '$default',
      timeEpoch: Date.now(),
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: headers['user-agent'] },
    },
    ...(body.length > 0 && { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !isText,
  };
}
