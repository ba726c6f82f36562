import type { DialectName } from '../../core/announce/dialect-name.ts';
import type { Authentication, WebhookSource } from '../../core/announce/source.ts';

/** Where a registry's form is, and what to choose there. */
const places: Record<DialectName, string> = {
  acr: 'Azure portal: registry, Services, Webhooks, Add. Actions: push. Or: az acr webhook create --actions push --uri URL',
  'acr-event-grid':
    'az eventgrid event-subscription create --source-resource-id REGISTRY --included-event-types Microsoft.ContainerRegistry.ImagePushed --endpoint URL',
  alibaba: 'Container Registry console: repository, Triggers, Create. Trigger: all tags, or by expression.',
  artifactory:
    'Administration, General, Webhooks, New: Docker, "Tag was pushed". The secret may be sent as it is or as a signature.',
  distribution: "The registry's config.yml, then restart it:",
  'docker-hub': 'hub.docker.com: repository, Webhooks. Any name; the URL is all there is.',
  ecr: 'EventBridge rule on source aws.ecr, detail-type "ECR Image Action", to an SNS topic with an HTTPS subscription (raw delivery off), or to an API destination.',
  ghcr: 'github.com: repository or organisation, Settings, Webhooks. Content type application/json; events: Registry packages.',
  gitea:
    'Repository or organisation: Settings, Webhooks, Gitea (or Forgejo). POST, application/json; events: Packages.',
  gitlab:
    "gitlab.rb, registry['notifications'], then gitlab-ctl reconfigure. Its name, timeout, threshold and backoff are as for distribution.",
  google:
    'Topic gcr in the project; gcloud pubsub subscriptions create NAME --topic gcr --push-endpoint URL --push-auth-service-account EMAIL',
  harbor: 'Project, Webhooks, New. Notify type http; events: Artifact pushed. Payload format Default or CloudEvents.',
  huawei: 'SWR console: repository or instance, Triggers. Event: image push; type: webhook.',
  nexus: 'Administration, System, Capabilities, Create: "Webhook: Repository". Event type: component.',
  plain: 'From a CI job, after its push:',
  quay: 'Repository, Settings, Events and notifications, Create. "Push to repository", Webhook POST.',
  tencent: 'TCR console: instance, Triggers, New. Event: image push.',
  zot: "zot's config.json, extensions.events: enable true, and a sink of type http:",
};

/** What to enter where, for one sender. Holds the URL's token, since that is what it is for, and no other secret. */
export function renderInstructions(source: WebhookSource, baseUrl: string): string {
  const [token] = source.urlTokens;
  const url = `${baseUrl.replace(/\/+$/, '')}/hooks/${source.name}${token === undefined ? '' : `/${token}`}`;
  return [
    `${source.name} (${source.dialect}) may speak for ${source.allow.join(', ')}`,
    `  URL: ${url}`,
    `  ${places[source.dialect]}`,
    ...sampleOf(source, url).map((line) => `    ${line}`),
    ...proofOf(source.auth).map((line) => `  ${line}`),
    '',
  ].join('\n');
}

function sampleOf({ dialect, auth, allow }: WebhookSource, url: string): string[] {
  const [header] = headersOf(auth);
  switch (dialect) {
    case 'distribution':
      return [
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
      ];
    case 'zot':
      return [`"sinks": [{ "type": "http", "address": "${url}"${zotCredentials(auth)} }]`];
    case 'plain':
      return [
        `curl -fsS -H 'content-type: application/json'${header === undefined ? '' : ` -H '${header.name}: ${header.value}'`} \\`,
        `  -d '{"image":"${allow[0]}/app:1.0"}' ${url}`,
      ];
    default:
      return [];
  }
}

function zotCredentials(auth: Authentication): string {
  if (auth.kind === 'basic') {
    return `, "credentials": { "username": "${auth.logins[0]?.username}", "password": "SECRET" }`;
  }
  if (auth.kind === 'bearer') return ', "credentials": { "token": "SECRET" }';
  return auth.kind === 'header' ? `, "headers": { "${auth.name}": "SECRET" }` : '';
}

function headersOf(auth: Authentication): Array<{ name: string; value: string }> {
  if (auth.kind === 'bearer') return [{ name: 'Authorization', value: 'Bearer SECRET' }];
  if (auth.kind === 'basic') return [{ name: 'Authorization', value: 'Basic BASE64_OF_USERNAME:PASSWORD' }];
  return auth.kind === 'header' ? [{ name: auth.name, value: 'SECRET' }] : [];
}

function proofOf(auth: Authentication): string[] {
  switch (auth.kind) {
    case 'url':
      return ['The URL is the secret: hand it out over TLS only.'];
    case 'hmac':
      return ['Secret, to sign with: the first of hmac: in the webhooks file.'];
    case 'header':
      return [`Header ${auth.name}: the first of header: in the webhooks file.`];
    case 'bearer':
      return ['Header Authorization: Bearer and the first of bearer: in the webhooks file.'];
    case 'basic':
      return [`Login: ${auth.logins[0]?.username}, with its password in the webhooks file.`];
    case 'google-oidc':
      return [`Token: for the audience ${auth.audience}, by the service account ${auth.email}.`];
    case 'sns':
      return [`Topics: ${auth.topics.join(', ')}. The subscription's confirmation is shown in the log: open its link.`];
  }
}
