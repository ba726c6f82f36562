/** The senders that are understood. `harbor`'s format is also Tencent's and Huawei's, `distribution`'s is GitLab's. */
export const dialectNames = [
  'acr',
  'acr-event-grid',
  'alibaba',
  'artifactory',
  'distribution',
  'docker-hub',
  'ecr',
  'ghcr',
  'gitea',
  'gitlab',
  'google',
  'harbor',
  'huawei',
  'nexus',
  'plain',
  'quay',
  'tencent',
  'zot',
] as const;
export type DialectName = (typeof dialectNames)[number];
