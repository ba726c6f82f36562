/** A part of AWS with regions, accounts and domains of its own. */
interface AwsPartition {
  /** What the names of its regions begin with. */
  regions: string;
  /** Domain of its services. */
  domain: string;
  /** Domains of the names that also have IPv6 addresses. */
  dualStack: string[];
}

/**
 * The domains are those of AWS's SDKs (`dnsSuffix`); the ones with IPv6 are those that the agent of ECS knows for ECR.
 * @see https://github.com/aws/amazon-ecs-agent/blob/dev/ecs-agent/utils/uri
 */
const partitions: AwsPartition[] = [
  { regions: 'cn-', domain: 'amazonaws.com.cn', dualStack: ['on.amazonwebservices.com.cn'] },
  { regions: 'eusc-', domain: 'amazonaws.eu', dualStack: ['on.amazonwebservices.eu', 'amazonwebservices.eu'] },
  { regions: 'us-iso-', domain: 'c2s.ic.gov', dualStack: ['on.aws.ic.gov'] },
  { regions: 'us-isob-', domain: 'sc2s.sgov.gov', dualStack: ['on.aws.scloud'] },
  { regions: 'us-isof-', domain: 'csp.hci.ic.gov', dualStack: ['on.aws.hci.ic.gov'] },
  { regions: 'eu-isoe-', domain: 'cloud.adc-e.uk', dualStack: ['on.cloud-aws.adc-e.uk'] },
  // GovCloud has the domains of all other regions.
  { regions: '', domain: 'amazonaws.com', dualStack: ['on.aws'] },
];

/** The partition of a region. A region that is not known yet is taken for one of the largest partition. */
export function partitionOf(region: string): AwsPartition {
  return partitions.find(({ regions }) => region.startsWith(regions)) as AwsPartition;
}

/** Every domain of AWS below which customers get names. */
export const awsDomains: readonly string[] = partitions.flatMap(({ domain, dualStack }) => [domain, ...dualStack]);
