import type { Dialect } from '../dialect.ts';
import { harbor } from './harbor.ts';

/**
 * Huawei SWR Enterprise. The payload is not documented; the names of its settings (`PUSH_ARTIFACT`, `auth_header`) are
 * Harbor's, so Harbor's format is expected. The basic edition has no webhooks.
 * @see https://support.huaweicloud.com/intl/en-us/api-swr2/swr_03_0901.html
 */
export const huawei: Dialect = harbor;
