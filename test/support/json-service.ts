import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An error that a handler throws to make the service answer with it. */
export class ServiceFault extends Error {
  readonly type: string;
  readonly status: number;
  /** Fields of the error besides its message. */
  readonly fields: object;

  constructor(type: string, status: number, fields: object = {}) {
    super(`${type} by the stand-in`);
    this.type = type;
    this.status = status;
    this.fields = fields;
  }
}

type Handler = (input: Record<string, unknown>) => object;

export interface JsonService {
  endpoint: string;
  /** Operations in the order of their requests, retries included. */
  requests: string[];
  close(): Promise<void>;
}

/** A stand-in for an AWS service that speaks JSON 1.1: operations by the part of `X-Amz-Target` after the dot. */
export async function startJsonService(handlers: Record<string, Handler>): Promise<JsonService> {
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const operation = String(request.headers['x-amz-target']).split('.')[1] ?? '';
    requests.push(operation);
    const answer = (status: number, body: object) => {
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(body));
    };
    try {
      const handler = handlers[operation];
      if (!handler) throw new ServiceFault('UnknownOperationException', 400);
      answer(200, handler(JSON.parse(Buffer.concat(chunks).toString())));
    } catch (error) {
      if (error instanceof ServiceFault) {
        answer(error.status, { __type: error.type, message: error.message, ...error.fields });
      } else answer(500, { __type: 'InternalServiceError', message: String(error) });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
