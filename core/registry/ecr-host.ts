import { partitionOf } from './aws-partitions.ts';

/** The parts of the host name of a private ECR registry. */
export interface EcrHost {
  account: string;
  region: string;
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html and ecr-requests.html (FIPS, dual stack).
const hostPattern = /^(\d{12})\.dkr([.-])ecr(?:-fips)?\.([a-z]{2,8}(?:-[a-z]+)+-\d+)\.([a-z0-9.-]+)$/;

/** Account and region in the host name of a private ECR registry; undefined for any other host. */
export function parseEcrHost(registry: string): EcrHost | undefined {
  const match = hostPattern.exec(registry);
  if (!match) return undefined;
  const [, account, separator, region, suffix] = match as unknown as [string, string, string, string, string];
  const { domain, dualStack } = partitionOf(region);
  const isOwn = separator === '.' ? suffix === domain : dualStack.includes(suffix);
  return isOwn ? { account, region } : undefined;
}

/** The usual name of a private ECR registry. */
export function formatEcrHost({ account, region }: EcrHost): string {
  return `${account}.dkr.ecr.${region}.${partitionOf(region).domain}`;
}

/**
 * One name for a registry, by which two are compared: a private one of ECR has a name for IPv4, one for dual stack, and
 * in some regions both of them for FIPS. Any other registry has its own.
 */
export function oneNameOf(registry: string): string {
  const host = parseEcrHost(registry);
  return host === undefined ? registry : formatEcrHost(host);
}
