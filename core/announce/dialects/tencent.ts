import type { Dialect } from '../dialect.ts';
import { harbor } from './harbor.ts';

/**
 * Tencent TCR Enterprise sends what Harbor 1 sent: `pushImage`. Its published sample ends after `resource_url`, so the
 * repository is taken from there where it must be.
 * @see https://www.tencentcloud.com/document/product/1051/37254
 */
export const tencent: Dialect = harbor;
