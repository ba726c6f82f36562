import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Stacks without outputs, by their states. */
const unready: Record<string, string> = { New: 'CREATE_IN_PROGRESS', Broken: 'ROLLBACK_COMPLETE' };

/** DescribeStacks as CloudFormation answers it, for a stack with the name Tranship, and {@link unready} ones. */
export async function startCloudFormation(outputs: Record<string, string>) {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const name = new URLSearchParams(body).get('StackName') ?? '';
    const status = name === 'Tranship' ? 'CREATE_COMPLETE' : unready[name];
    const isKnown = status !== undefined;
    const members = Object.entries(name === 'Tranship' ? outputs : {})
      .map(([key, value]) => `<member><OutputKey>${key}</OutputKey><OutputValue>${inXml(value)}</OutputValue></member>`)
      .join('');
    response.writeHead(isKnown ? 200 : 400, { 'content-type': 'text/xml' });
    response.end(
      isKnown
        ? `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>${name}</StackName><CreationTime>2026-11-24T00:00:00Z</CreationTime><StackStatus>${status}</StackStatus><Outputs>${members}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`
        : '<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id Other does not exist</Message></Error></ErrorResponse>',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

function inXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
