/** The parts of the host name of a private ECR registry. */
export interface EcrHost {
  account: string;
  region: string;
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html and ecr-requests.html (FIPS, dual stack).
const amazonaws = /^(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z]{2,8}(?:-[a-z]+)+-\d+)\.amazonaws\.com(\.cn)?$/;
const onAws = /^(\d{12})\.dkr-ecr(?:-fips)?\.([a-z]{2,8}(?:-[a-z]+)+-\d+)\.on\.aws$/;

/** Account and region in the host name of a private ECR registry; undefined for any other host. */
export function parseEcrHost(registry: string): EcrHost | undefined {
  const match = amazonaws.exec(registry) ?? onAws.exec(registry);
  if (!match) return undefined;
  const [, account, region, china] = match as unknown as [string, string, string, string | undefined];
  // `.cn` belongs to the regions in China, and to no other.
  if (registry.includes('.amazonaws.') && region.startsWith('cn-') !== (china !== undefined)) return undefined;
  return { account, region };
}
