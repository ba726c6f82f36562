import type { Dialect } from '../dialect.ts';
import { collect } from '../draft.ts';
import { fieldsOf, joinPath, parseObject, textOf, unreadable } from '../payload.ts';

/**
 * Alibaba Cloud ACR: no authentication, and no host; without a configured one it is that of a personal edition's
 * region. Its times have no zone and are left out.
 * @see https://www.alibabacloud.com/help/doc-detail/60949.htm "Manage triggers"
 */
export const alibaba: Dialect = {
  unreadableStatus: 400,
  parse(request, sender) {
    const body = parseObject(request);
    const push = fieldsOf(body.push_data);
    const { namespace, name, region, repo_full_name: fullName } = fieldsOf(body.repository);
    const path = textOf(fullName) ?? joinPath(namespace, name);
    if (path === undefined) throw unreadable('the body has no repository');
    return collect(sender, [push], () => ({
      kind: 'push',
      registry: textOf(region) && `registry.${region}.aliyuncs.com`,
      repository: path,
      tag: textOf(push.tag),
      digest: textOf(push.digest),
    }));
  },
};
