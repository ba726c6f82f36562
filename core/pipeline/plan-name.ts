/**
 * What a run calls the part of a rule that a plan message is about, where it counts and keeps failures: the rule's id,
 * or for one of many repositories the id with that.
 */
export function planName({ ruleId, repository }: { ruleId: string; repository?: string }): string {
  return repository === undefined ? ruleId : `${ruleId}: ${repository}`;
}
