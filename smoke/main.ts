import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ECRClient } from '@aws-sdk/client-ecr';
import { restingBill, sum } from '../bench/aws-bill.ts';
import { openAccount, runCdk } from './account.ts';
import { runSmoke, smokeNames } from './run-smoke.ts';

/**
 * A test in an AWS account of yours, which must be bootstrapped for the CDK:
 *
 *     npm run smoke:aws -- --profile NAME [--region REGION] [--yes]
 */
const { values } = parseArgs({
  options: { profile: { type: 'string' }, region: { type: 'string' }, yes: { type: 'boolean', default: false } },
});
if (values.profile === undefined) {
  console.error('smoke:aws: say which account: --profile NAME, as in ~/.aws/config');
  process.exit(2);
}
process.env.AWS_PROFILE = values.profile;
if (values.region !== undefined) process.env.AWS_REGION = values.region;

/** A stack with push events by EventBridge, so without the webhooks' secret; a month by the list. */
const monthly = sum(
  restingBill({ secrets: 1, alarmMetrics: 11, polledQueues: 3, dashboards: 1, customMetrics: 4 }, { withFree: false }),
);
const dollarsFor = (ms: number) => ((monthly * ms) / (30 * 86_400_000)).toFixed(4);
const HOUR = 3_600_000;

const suffix = randomBytes(4).toString('hex');
const names = smokeNames(suffix);
console.log(`In the account of ${values.profile} this makes, and removes again within about 15 minutes:
  two private ECR repositories, ${names.source} and ${names.destination}
  a CloudFormation stack, ${names.stack}, with all that docs/aws.md describes
It should cost less than $${dollarsFor(HOUR)} an hour, and a few runs and copies of some kilobytes, less than a cent.
The code of the functions stays in the CDK's bootstrap bucket, a few MB. What is still there after a crash of this
program is found by its names.`);
if (!values.yes) {
  const asking = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await asking.question('Go on? (yes/no) ');
  asking.close();
  if (answer.trim() !== 'yes') process.exit(1);
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    console.error(stop.signal.aborted ? 'still removing; please wait' : 'stopping; what was made is removed');
    stop.abort();
  });
}
const account = openAccount({
  ecr: new ECRClient(),
  cloudFormation: new CloudFormationClient(),
  dynamo: new DynamoDBClient(),
  cdk: runCdk,
});
const { problems, left, stackMs } = await runSmoke({
  account,
  suffix,
  signal: stop.signal,
  tell: (line) => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`),
  now: Date.now,
  sleep: (ms) => sleep(ms, undefined, { signal: stop.signal }).catch(() => {}),
});
for (const what of left) console.error(`could not be removed, and costs on if it is there: ${what}`);
console.log(
  `The stack was there for ${Math.ceil(stackMs / 60_000)} minutes: about $${dollarsFor(stackMs)} by the list.`,
);
console.log(problems.length === 0 ? 'It works.' : `It does not work: ${problems.join('; ')}`);
process.exit(problems.length + left.length === 0 ? 0 : 1);
