import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** DescribeStacks as CloudFormation answers it, for one stack with the name Tranship. */
export async function startCloudFormation(outputs: Record<string, string>) {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const isKnown = new URLSearchParams(body).get('StackName') === 'Tranship';
    const members = Object.entries(outputs)
      .map(([key, value]) => `<member><OutputKey>${key}</OutputKey><OutputValue>${inXml(value)}</OutputValue></member>`)
      .join('');
    response.writeHead(isKnown ? 200 : 400, { 'content-type': 'text/xml' });
    response.end(
      isKnown
        ? `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>Tranship</StackName><CreationTime>2026-11-24T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>${members}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`
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
