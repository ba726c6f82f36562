import { ECRClient } from '@aws-sdk/client-ecr';
import { clientSettings } from './clients.ts';

const clients = new Map<string, ECRClient>();
const uploadClients = new Map<string, ECRClient>();

/** The client of ECR in one region, which need not be the function's own. Kept, with its connections. */
export function ecrClient(region: string): ECRClient {
  const client = clients.get(region) ?? new ECRClient({ ...clientSettings, region });
  clients.set(region, client);
  return client;
}

/** As {@link ecrClient}, for parts of layers: 20 MiB take a while. */
export function ecrUploadClient(region: string): ECRClient {
  const requestHandler = { ...clientSettings.requestHandler, requestTimeout: 60_000 };
  const client = uploadClients.get(region) ?? new ECRClient({ ...clientSettings, region, requestHandler });
  uploadClients.set(region, client);
  return client;
}
