import type { Dialect } from './dialect.ts';
import type { DialectName } from './dialect-name.ts';
import { acr } from './dialects/acr.ts';
import { acrEventGrid } from './dialects/acr-event-grid.ts';
import { alibaba } from './dialects/alibaba.ts';
import { artifactory } from './dialects/artifactory.ts';
import { distribution } from './dialects/distribution.ts';
import { dockerHub } from './dialects/docker-hub.ts';
import { ecr } from './dialects/ecr.ts';
import { ghcr } from './dialects/ghcr.ts';
import { gitea } from './dialects/gitea.ts';
import { gitlab } from './dialects/gitlab.ts';
import { google } from './dialects/google.ts';
import { harbor } from './dialects/harbor.ts';
import { huawei } from './dialects/huawei.ts';
import { nexus } from './dialects/nexus.ts';
import { plain } from './dialects/plain.ts';
import { quay } from './dialects/quay.ts';
import { tencent } from './dialects/tencent.ts';
import { zot } from './dialects/zot.ts';

/** Every sender that is understood; docs/webhooks.md has a row for each. */
export const dialects: Readonly<Record<DialectName, Dialect>> = {
  acr,
  'acr-event-grid': acrEventGrid,
  alibaba,
  artifactory,
  distribution,
  'docker-hub': dockerHub,
  ecr,
  ghcr,
  gitea,
  gitlab,
  google,
  harbor,
  huawei,
  nexus,
  plain,
  quay,
  tencent,
  zot,
};
