import { type JsonService, ServiceFault, startJsonService } from './json-service.ts';

export interface SecretsManager extends JsonService {
  /** The secrets by name; a test may change them as it likes. */
  secrets: Map<string, string>;
  /** While it is set, every read fails with it. */
  fault: ServiceFault | undefined;
}

/** A stand-in for Secrets Manager: GetSecretValue and PutSecretValue, secrets of text by name. */
export async function startSecretsManager(): Promise<SecretsManager> {
  const secrets = new Map<string, string>();
  const service = await startJsonService({
    GetSecretValue({ SecretId }) {
      if (manager.fault) throw manager.fault;
      const text = secrets.get(String(SecretId));
      if (text === undefined) throw new ServiceFault('ResourceNotFoundException', 400);
      return {
        ARN: `arn:aws:secretsmanager:us-east-1:000000000000:secret:${SecretId}`,
        Name: SecretId,
        SecretString: text,
      };
    },
    PutSecretValue({ SecretId, SecretString }) {
      secrets.set(String(SecretId), String(SecretString));
      return { Name: SecretId };
    },
  });
  const manager: SecretsManager = { ...service, secrets, fault: undefined };
  return manager;
}
