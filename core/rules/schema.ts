import * as v from 'valibot';
import { checkNode } from '../config/check-node.ts';
import type { Located } from '../config/located.ts';
import type { UserFile } from '../config/problems.ts';
import { mapOf, recordOf, wordOf } from '../config/shape.ts';
import { MOST_REFERRER_TYPES } from '../model/referrer.ts';
import { notifySchema } from '../notice/notify-schema.ts';
import { platformPattern } from './platform-text.ts';

/** Longest text of an image with the tags it lists. */
const maxImageLength = 1_500_000;

function text(maxLength: number, description?: string) {
  return v.pipe(v.string(), v.minLength(1), v.maxLength(maxLength), v.metadata({ description }));
}

function listOf<const Item extends v.GenericSchema>(item: Item, max: number) {
  return v.pipe(v.array(item), v.minLength(1), v.maxLength(max));
}

/** `1.10` is a number to YAML; what is read is the text as written. */
const pattern = v.union([text(10_000), v.number()]);
const patterns = v.union([pattern, listOf(pattern, 100)]);

const platform = v.pipe(
  v.string(),
  v.regex(platformPattern, 'is not a platform such as linux/amd64 or linux/arm64/v8'),
  v.description('A platform such as linux/amd64 or linux/arm64/v8.'),
);

const schedule = v.pipe(
  v.union([
    text(200),
    mapOf({
      cron: text(200, 'As 0 3 * * *.'),
      timeZone: v.optional(text(100, "As Europe/Berlin. The machine's own, if left out.")),
      jitter: v.optional(
        v.pipe(
          v.union([text(50), v.number()]),
          v.description('Puts off each start by a random time of at most this: 90s, 5m.'),
        ),
      ),
    }),
  ]),
  v.description(
    "Cron's five fields, or six with seconds in front (0 3 * * *); or a map with a time zone and a jitter.",
  ),
);

const conditions = mapOf({
  match: v.optional(v.pipe(patterns, v.description('Tags that fit any of these globs or /regular expressions/.'))),
  except: v.optional(v.pipe(patterns, v.description('Leaves out tags that fit any of these.'))),
  semver: v.optional(
    v.pipe(
      v.union([text(256), v.number()]),
      v.description('Tags that are versions in this range, written as npm does: >=1.24 <2.'),
    ),
  ),
  newest: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(100_000),
      v.description('Keeps the highest N of what the other conditions leave.'),
    ),
  ),
});

const tags = v.pipe(
  v.union([text(10_000), v.number(), listOf(pattern, 10_000), v.pipe(conditions, v.minEntries(1))]),
  v.description(
    'A tag, a glob (1.*), a /regular expression/, a list of those, or a map of conditions that must all hold. All tags, if left out.',
  ),
);

const destinations = v.pipe(
  v.union([text(maxImageLength), listOf(text(maxImageLength), 100)]),
  v.description(
    `Destination repository or a list of them; with :tag1,tag2 to rename the source's tags in their order. $VAR and \${VAR} are replaced by the environment's.`,
  ),
);

const referrerType = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9*][A-Za-z0-9!#$&^_.+*/-]{0,199}$/, 'is not a kind or an artifact type'),
  v.description('signatures, attestations, sboms, or an artifact type, in which * stands for any text.'),
);
const referrerTypes = v.union([referrerType, listOf(referrerType, MOST_REFERRER_TYPES)]);

const referrers = v.pipe(
  v.union([
    referrerTypes,
    v.pipe(
      mapOf({
        types: v.optional(referrerTypes),
        recheck: v.optional(
          v.pipe(
            v.union([text(50), v.number()]),
            v.description('How long at most a new signature of an unchanged tag may go unseen: 24h, if left out.'),
          ),
        ),
      }),
      v.minEntries(1),
    ),
  ]),
  v.description(
    'Which artifacts that refer to an image come along: none, all, or a list of kinds and artifact types. Signatures, attestations and SBOMs, if left out.',
  ),
);

const repositories = v.pipe(
  mapOf({
    match: v.optional(v.pipe(patterns, v.description('Repositories that fit any of these globs or /expressions/.'))),
    except: v.optional(v.pipe(patterns, v.description('Leaves out repositories that fit any of these.'))),
    max: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(100_000),
        v.description('With more repositories the rule fails. 1000, if left out.'),
      ),
    ),
  }),
  v.description(
    'Which repositories a source that ends in /* or /** takes, by what is below its path. All, if left out.',
  ),
);

const deletion = v.pipe(
  v.union([
    wordOf(['mirror', 'unselected']),
    mapOf({
      tags: v.optional(
        v.pipe(
          wordOf(['mirror', 'unselected']),
          v.description(
            'mirror: tags that are gone at the source. unselected: also tags that the rule does not take any more. mirror, if left out.',
          ),
        ),
      ),
      max: v.optional(
        v.pipe(
          v.union([text(20), v.number()]),
          v.description(
            'At most so many deletions a day at one destination, as a number or a share of the tags that the rule brought; beyond, the rule fails and deletes nothing. 10%, if left out.',
          ),
        ),
      ),
      keep: v.optional(
        v.pipe(
          v.number(),
          v.integer(),
          v.minValue(1),
          v.maxValue(100_000),
          v.description('So many of the newest tags that the rule brought stay.'),
        ),
      ),
      olderThan: v.optional(
        v.pipe(v.union([text(50), v.number()]), v.description('What was copied within this time stays: 90d, 12h.')),
      ),
    }),
  ]),
  v.description('Which of the tags that this rule brought are deleted at the destinations. None, if left out.'),
);

const pathOrPem = text(20_000);

const requirement = v.pipe(
  mapOf({
    key: v.optional(
      v.pipe(
        v.union([pathOrPem, listOf(pathOrPem, 20)]),
        v.description('Public keys of cosign: paths from the rules file, or PEM. A signature by any of them counts.'),
      ),
    ),
    identity: v.optional(
      text(
        1000,
        'Who signed without a key of their own: the address or URI in the certificate; * stands for any text.',
      ),
    ),
    issuer: v.optional(text(1000, 'The OpenID issuer that confirmed the identity.')),
    trustRoot: v.optional(
      text(1000, 'Path of a Sigstore trusted root, from the rules file. That of the public instance, if left out.'),
    ),
  }),
  v.minEntries(1),
  v.description('Copies only images that are signed by one of these.'),
);

const rule = mapOf({
  name: v.optional(
    text(200, 'Shown in reports and kept in the ledger; unique in the file. The text of from, if left out.'),
  ),
  from: text(
    maxImageLength,
    'Source repository, as for docker pull. Without tags below it may also say repository:tag, repository:tag1,tag2, repository:/regex/ or repository@digest; with /* or /** at its end it names all repositories below a path.',
  ),
  repositories: v.optional(repositories),
  tags: v.optional(tags),
  to: destinations,
  platforms: v.optional(
    v.pipe(
      v.union([platform, listOf(platform, 100)]),
      v.description('Copies only these platforms, and no image that has none of them. All, if left out.'),
    ),
  ),
  referrers: v.optional(referrers),
  require: v.optional(requirement),
  pulls: v.optional(
    text(
      50,
      'How often the rule may pull from its source, as 80/6h. Docker Hub counts each manifest that is read. As often as it needs, if left out.',
    ),
  ),
  delete: v.optional(deletion),
  schedule: v.optional(schedule),
});

/**
 * What tranship.yaml may look like. `schema/tranship.schema.json`, which editors use, is made of it
 * (test/unit/rules/schema.test.ts).
 */
export const rulesFileSchema = v.pipe(
  mapOf({
    version: v.pipe(v.literal(1), v.description('Version of this format.')),
    rules: v.pipe(
      v.array(rule),
      v.maxLength(50_000),
      v.description("Each rule keeps one source repository's tags in step at one or more destinations."),
    ),
    endpoints: v.optional(
      v.pipe(
        recordOf(v.union([text(300), listOf(text(300), 10)])),
        v.description(
          'By registry, mirrors that its manifests and blobs are read from first: a host, or a host and the path before the repositories. Tags are asked for at the registry itself.',
        ),
      ),
    ),
    schedule: v.optional(schedule),
    notify: v.optional(notifySchema),
  }),
  v.title('Tranship rules'),
  v.description('Which images to keep in step, and where. See docs/rules.md.'),
);

/** Parts of the schema that the published one names. */
export const rulesFileParts = { rule, schedule, pattern, patterns, platform, referrerType };

/**
 * Notes everything in which the file differs from the schema of tranship.yaml, each at its place.
 * @returns true where nothing was wrong
 */
export function checkSchema(file: UserFile, root: Located): boolean {
  const subject = { node: root, keyOffset: root.offset, name: 'the file', isSecret: false };
  return checkNode(file, subject, rulesFileSchema) !== undefined;
}
