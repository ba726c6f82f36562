/**
 * Names of repositories that fit into a limit. Where the exact names do not fit, namespaces stand for the repositories
 * in them (`team/*`): as few and as deep ones as it takes, those first that save most. Where even the first segments do
 * not fit, `*` stands for all.
 *
 * @param options.budget characters for all names together
 * @param options.overhead characters that each name costs besides its own
 * @returns exact names, and patterns that end in `*`, sorted
 */
export function foldNames(names: Iterable<string>, options: { budget: number; overhead: number }): string[] {
  const { budget, overhead } = options;
  const costOf = (list: Iterable<string>) => [...list].reduce((sum, name) => sum + name.length + overhead, 0);
  const kept = new Set(names);
  let cost = costOf(kept);
  const deepest = Math.max(0, ...[...kept].map((name) => name.split('/').length - 1));
  for (let depth = deepest; depth > 0 && cost > budget; depth -= 1) {
    const groups = [...Map.groupBy(kept, (name) => namespaceOf(name, depth))].flatMap(([namespace, members]) => {
      const saved = namespace === undefined ? 0 : costOf(members) - costOf([namespace]);
      return namespace === undefined || saved <= 0 ? [] : [{ namespace, members, saved }];
    });
    for (const { namespace, members, saved } of groups.sort((a, b) => b.saved - a.saved)) {
      if (cost <= budget) break;
      for (const member of members) kept.delete(member);
      kept.add(namespace);
      cost -= saved;
    }
  }
  return cost > budget ? ['*'] : [...kept].sort();
}

/** `a/b/*` for depth 2, where the name has so many segments before its last one; undefined where not. */
function namespaceOf(name: string, depth: number): string | undefined {
  const segments = name.split('/');
  return segments.length > depth ? `${segments.slice(0, depth).join('/')}/*` : undefined;
}
