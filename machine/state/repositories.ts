import type { Repository } from '../../core/model/reference.ts';
import type { Database } from './database.ts';

/** The repositories of all sync records, in order: one look-up each, however many tags they have. */
export function listRepositories(database: Database): Repository[] {
  const repositories: Repository[] = [];
  let last: Repository | undefined = { registry: '', repository: '' };
  for (;;) {
    last = database.get<Repository>(
      `SELECT registry, repository FROM records WHERE (registry, repository) > (?, ?)
       ORDER BY registry, repository LIMIT 1`,
      last.registry,
      last.repository,
    );
    if (last === undefined) return repositories;
    repositories.push({ ...last });
  }
}
