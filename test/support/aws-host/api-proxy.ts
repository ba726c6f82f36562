import { Agent, createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ApiRequest, permissionOf, readApiRequest } from './api-requests.ts';
import type { Permissions } from './iam.ts';
import type { ConditionKeys } from './policy.ts';
import { parseTrace } from './trace.ts';

/** A call that a function made. */
export interface RecordedCall {
  /** Logical id of the function. */
  function: string;
  service: string;
  operation: string;
  input: Record<string, unknown>;
  /** ARNs that IAM was asked about. */
  resources: string[];
  /** Condition keys that IAM was asked with. */
  keys: ConditionKeys;
  /** Root of the trace that its invocation belongs to. */
  root: string | undefined;
  /** The same for all attempts of the SDK at one call. */
  attemptsId: string | undefined;
  /** 0 while it is not answered. */
  status: number;
}

/**
 * May say what goes wrong with a call: `refuse` answers 503 and has no effect, `lose` has its effect and no answer.
 * Anything else lets it pass.
 */
export type CallListener = (call: RecordedCall) => unknown;

export interface ApiProxy {
  /** The one endpoint of all services. */
  endpoint: string;
  calls: RecordedCall[];
  /** Called before a request is passed on, and waited for. */
  onCall: CallListener | undefined;
  close(): Promise<void>;
}

export interface ApiProxyOptions {
  /** Endpoints of the emulators by service. */
  upstreams: Record<string, string>;
  /** Who has this access key. */
  whose(accessKey: string): { function: string; role: string } | undefined;
  permissions: () => Permissions;
  /** Changes the body of a request before it is passed on. */
  rewrite(request: ApiRequest): ApiRequest['input'];
}

/**
 * The AWS APIs as functions see them: one address for all services. Every call is recorded and checked against the
 * policies of the caller's role, which the emulators do not do; what is not allowed is answered as AWS answers it.
 */
export async function startApiProxy(options: ApiProxyOptions): Promise<ApiProxy> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer(async (incoming, response) => {
    const refuse = (status: number, type: string, message: string) => {
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
      response.end(JSON.stringify({ __type: type, message }));
    };
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      const request = readApiRequest(incoming.headers, text);
      const { accessKey, service, operation, input } = request;
      const caller = options.whose(accessKey);
      if (caller === undefined) return refuse(403, 'InvalidClientTokenId', 'nobody has this access key');
      const { action, resources, keys } = permissionOf(request);
      const root = parseTrace(request.trace)?.root;
      const attemptsId = incoming.headers['amz-sdk-invocation-id']?.toString();
      const call: RecordedCall = {
        function: caller.function,
        service,
        operation,
        input,
        resources,
        keys,
        root,
        attemptsId,
        status: 0,
      };
      proxy.calls.push(call);
      response.on('finish', () => {
        call.status = response.statusCode;
      });
      const denied = resources.filter(
        (resource) => !options.permissions().check({ role: caller.role, action, resource, keys }),
      );
      if (denied.length > 0) {
        return refuse(
          400,
          'AccessDeniedException',
          `${caller.role} is not authorized to perform ${action} on ${denied}`,
        );
      }
      const upstream = options.upstreams[service];
      if (upstream === undefined) return refuse(501, 'NotImplemented', `the host has no ${service}`);
      const fault = await proxy.onCall?.(call);
      if (fault === 'refuse') return refuse(503, 'ServiceUnavailable', 'as the test wants it');
      const rewritten =
        incoming.headers['x-amz-target'] === undefined ? text : JSON.stringify(options.rewrite(request));
      const headers = { ...incoming.headers, 'content-length': String(Buffer.byteLength(rewritten)) };
      const upward = sendRequest(upstream, { method: 'POST', headers, agent }, (answer) => {
        if (fault === 'lose') {
          answer.resume().on('end', () => response.destroy());
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      upward.on('error', () => response.destroy());
      upward.end(rewritten);
    } catch (error) {
      refuse(500, 'InternalFailure', String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: ApiProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    onCall: undefined,
    async close() {
      agent.destroy();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}
