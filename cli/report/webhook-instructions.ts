import type { DialectName } from '../../core/announce/dialect-name.ts';
import type { Authentication, Sender } from '../../core/announce/sender.ts';

/** What is to be entered at a sender: the URL, and what it is to send besides, with `SECRET` for the secret. */
interface Entry {
  url: string;
  /** Of the first registry that the sender may speak for. */
  host: string;
  /** The first place that the sender may speak for. */
  place: string;
  auth: Authentication;
  header: { name: string; value: string } | undefined;
}

/** Where a registry's form is, and what to choose there; lines to paste after it. */
const places: Record<DialectName, (entry: Entry) => [where: string, ...paste: string[]]> = {
  acr: ({ url, host, header }) => [
    'Azure portal: registry, Services, Webhooks, Add, action push. Or:',
    `az acr webhook create --registry ${host.split('.', 1)[0]} --name tranship --actions push --uri '${url}'${
      header === undefined ? '' : ` --headers '${header.name}=${header.value}'`
    }`,
  ],
  'acr-event-grid': ({ url }) => [
    'An event subscription of the registry:',
    'az eventgrid event-subscription create --name tranship --source-resource-id ID_OF_THE_REGISTRY \\',
    `  --included-event-types Microsoft.ContainerRegistry.ImagePushed --endpoint '${url}'`,
  ],
  alibaba: () => ['Container Registry console: repository, Triggers, Create. Trigger: all tags, or by expression.'],
  artifactory: ({ auth }) => [
    `Administration, General, Webhooks, New: Docker, "Tag was pushed". "Use secret for payload signing": ${
      auth.kind === 'hmac' ? 'on' : 'off'
    }. For a private address: urlStrictPolicy: false in system.yaml.`,
  ],
  distribution: ({ url, header }) => [
    "The registry's config.yml, then restart it:",
    'notifications:',
    '  endpoints:',
    '    - name: tranship',
    `      url: ${url}`,
    ...(header === undefined ? [] : ['      headers:', `        ${header.name}: ["${header.value}"]`]),
    '      timeout: 2s',
    '      threshold: 5',
    '      backoff: 5s',
    // A copy reads from the registry too: each blob and each pull would be an event.
    '      ignore: { mediatypes: [application/octet-stream], actions: [pull, mount] }',
  ],
  'docker-hub': () => ['hub.docker.com: repository, Webhooks. Any name; the URL is all there is.'],
  ecr: ({ url, auth }) =>
    auth.kind === 'sns'
      ? [
          'EventBridge rule on source aws.ecr, detail-type "ECR Image Action", to the SNS topic; raw delivery off:',
          `aws sns subscribe --topic-arn ${auth.topics[0]} --protocol https --notification-endpoint '${url}'`,
        ]
      : ['EventBridge rule on source aws.ecr, detail-type "ECR Image Action", to an API destination with this URL.'],
  ghcr: () => [
    'github.com: organisation, or a repository that the package is connected to: Settings, Webhooks. ' +
      'Content type application/json; events: Registry packages.',
  ],
  gitea: () => [
    'Organisation, or a repository that the package is linked to: Settings, Webhooks, Gitea (or Forgejo). POST, ' +
      'application/json; events: Packages. For a private address: [webhook] ALLOWED_HOST_LIST in app.ini.',
  ],
  gitlab: ({ url, header }) => [
    'gitlab.rb, then gitlab-ctl reconfigure:',
    "registry['notifications'] = [{",
    `  'name' => 'tranship', 'url' => '${url}',`,
    "  'timeout' => '2s', 'maxretries' => 5, 'backoff' => '1s',",
    ...(header === undefined ? [] : [`  'headers' => { '${header.name}' => ['${header.value}'] },`]),
    '}]',
  ],
  google: ({ url, auth }) => [
    "The topic named gcr in the registry's project:",
    `gcloud pubsub subscriptions create tranship --topic gcr --push-endpoint '${url}'${
      auth.kind === 'google-oidc' ? ' \\' : ''
    }`,
    ...(auth.kind === 'google-oidc'
      ? [`  --push-auth-service-account ${auth.email} --push-auth-token-audience '${auth.audience}'`]
      : []),
  ],
  harbor: () => [
    'Project, Webhooks, New. Notify type http; event: Artifact pushed. Payload format Default or CloudEvents.',
  ],
  huawei: () => ['SWR console: repository or instance, Triggers. Event: image push; type: webhook.'],
  nexus: () => ['Administration, System, Capabilities, Create: "Webhook: Repository". Event type: component.'],
  plain: ({ url, place, auth, header }) => [
    'From a CI job, after its push:',
    `body='{"image":"${place}/app:1.0"}'`,
    "curl -fsS -H 'content-type: application/json' \\",
    ...(header === undefined ? [] : [`  -H '${header.name}: ${header.value}' \\`]),
    ...(auth.kind === 'hmac'
      ? [
          `  -H "x-hub-signature-256: sha256=$(printf %s "$body" | openssl dgst -sha256 -hmac SECRET -r | cut -c1-64)" \\`,
        ]
      : []),
    `  -d "$body" '${url}'`,
  ],
  quay: () => ['Repository, Settings, Events and notifications, Create. "Push to repository", Webhook POST.'],
  tencent: () => ['TCR console: instance, Triggers, New. Event: image push.'],
  zot: ({ url, auth, header }) => [
    "zot's config.json, extensions.events: enable true, and this sink:",
    `"sinks": [{ "type": "http", "address": "${url}"${zotCredentials(auth, header)} }]`,
  ],
};

/** What to enter where, for one sender. Holds the URL's token, since that is what it is for, and no other secret. */
export function renderInstructions(sender: Sender, baseUrl: string): string {
  const { name, dialect, allow, auth } = sender;
  const [token] = sender.urlTokens;
  const [place = ''] = allow;
  const url = `${baseUrl.replace(/\/+$/, '')}/hooks/${name}${token === undefined ? '' : `/${token}`}`;
  const entry = { url, place, host: place.split('/', 1)[0] ?? '', auth, header: headerOf(auth) };
  const [where, ...paste] = places[dialect](entry);
  return [
    `${name} (${dialect}) may speak for ${allow.join(', ')}`,
    `  URL: ${url}`,
    `  ${where}`,
    ...paste.map((line) => `    ${line}`),
    ...proofOf(entry).map((line) => `  ${line}`),
    '',
  ].join('\n');
}

function zotCredentials(auth: Authentication, header: Entry['header']): string {
  if (auth.kind === 'basic') {
    return `, "credentials": { "username": "${auth.logins[0]?.username}", "password": "SECRET" }`;
  }
  if (auth.kind === 'bearer') return ', "credentials": { "token": "SECRET" }';
  return header === undefined ? '' : `, "headers": { "${header.name}": "${header.value}" }`;
}

function headerOf(auth: Authentication): Entry['header'] {
  if (auth.kind === 'bearer') return { name: 'Authorization', value: 'Bearer SECRET' };
  if (auth.kind === 'basic') return { name: 'Authorization', value: 'Basic SECRET' };
  if (auth.kind !== 'header') return undefined;
  const name = auth.name.replace(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());
  return { name, value: 'SECRET' };
}

function proofOf({ auth, header }: Entry): string[] {
  switch (auth.kind) {
    case 'url':
      return ['The URL is the secret: hand it out over TLS only.'];
    case 'hmac':
      return ['Secret, to sign with (SECRET): the first of hmac: in the webhooks file.'];
    case 'header':
    case 'bearer':
      return [`Header: ${header?.name}: ${header?.value}`, `SECRET: the first of ${auth.kind}: in the webhooks file.`];
    case 'basic':
      return [
        `Login: ${auth.logins[0]?.username}, with its password in the webhooks file.`,
        'Where a header is asked for, SECRET: base64 of username:password.',
      ];
    case 'google-oidc':
      return [`Token: for the audience ${auth.audience}, by the service account ${auth.email}.`];
    case 'sns':
      return [`Topics: ${auth.topics.join(', ')}. The subscription's confirmation is shown in the log: open its link.`];
  }
}
