import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { type FauxqsServer, startFauxqs } from 'fauxqs';
import { emulatorIdentity } from './dynamo.ts';

export interface Sqs {
  endpoint: string;
  client: SQSClient;
  server: FauxqsServer;
  /** @returns the queue's URL */
  createQueue(name: string, attributes?: Record<string, string>): string;
  /** Bodies of what can be received now, each taken for 30 s. */
  receiveAll(url: string): Promise<string[]>;
  close(): Promise<void>;
}

/** SQS in this process (fauxqs). */
export async function startSqs(): Promise<Sqs> {
  const server = await startFauxqs({ port: 0, logger: false, host: '127.0.0.1' });
  const endpoint = `http://127.0.0.1:${server.port}`;
  const client = new SQSClient({ ...emulatorIdentity, endpoint });
  return {
    endpoint,
    client,
    server,
    createQueue(name, attributes = {}) {
      return server.createQueue(name, { attributes }).queueUrl;
    },
    async receiveAll(url) {
      const bodies: string[] = [];
      for (;;) {
        const command = new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10, VisibilityTimeout: 30 });
        const { Messages = [] } = await client.send(command);
        if (Messages.length === 0) return bodies;
        bodies.push(...Messages.map(({ Body }) => Body!));
      }
    },
    async close() {
      client.destroy();
      await server.stop();
    },
  };
}
