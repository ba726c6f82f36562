import { RemovalPolicy, Validations } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import { DomainName, HttpApi, HttpMethod, HttpStage, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { ARecord, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { ApiGatewayv2DomainProperties } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import type { OwnDomain } from './props.ts';

export interface WebhookDomainProps {
  domain: OwnDomain;
  handler: LambdaFunction;
  /** Of the function: requests a second are limited to what so many invocations can answer. */
  concurrency: number;
  logRetention: RetentionDays;
  encryptionKey?: IKey;
}

/** An invocation answers in some 50 ms. */
const REQUESTS_PER_INVOCATION_AND_SECOND = 20;

/** A domain of the user's own before the function that takes push events, by an HTTP API. */
export class WebhookDomain extends Construct {
  readonly url: string;
  /** What the domain must be a CNAME of, where no hosted zone was given. */
  readonly target: string;

  constructor(scope: Construct, id: string, props: WebhookDomainProps) {
    super(scope, id);
    const { name, certificate, hostedZone } = props.domain;
    const domainName = new DomainName(this, 'Name', { domainName: name, certificate });
    const api = new HttpApi(this, 'Api', {
      description: 'Push events for Tranship',
      createDefaultStage: false,
      disableExecuteApiEndpoint: true,
    });
    const routes = api.addRoutes({
      path: '/hooks/{proxy+}',
      // Event Grid asks for leave by OPTIONS.
      methods: [HttpMethod.POST, HttpMethod.OPTIONS],
      integration: new HttpLambdaIntegration('Function', props.handler),
    });
    for (const route of routes) {
      Validations.of(route).acknowledge({
        id: 'AwsSolutions::AwsSolutions-APIG4',
        reason: 'Who may post is for the function to say: no sender can sign requests for AWS.',
      });
    }
    const logGroup = new LogGroup(this, 'Log', {
      retention: props.logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
      ...(props.encryptionKey && { encryptionKey: props.encryptionKey }),
    });
    const requestsPerSecond = props.concurrency * REQUESTS_PER_INVOCATION_AND_SECOND;
    new HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: requestsPerSecond, burstLimit: 2 * requestsPerSecond },
      domainMapping: { domainName },
      accessLogSettings: { destination: new LogGroupLogDestination(logGroup), format: logFormat },
    });
    if (hostedZone) {
      const { regionalDomainName, regionalHostedZoneId } = domainName;
      const target = RecordTarget.fromAlias(new ApiGatewayv2DomainProperties(regionalDomainName, regionalHostedZoneId));
      new ARecord(this, 'Record', { zone: hostedZone, recordName: `${name}.`, target });
    }
    this.url = `https://${name}/`;
    this.target = domainName.regionalDomainName;
  }
}

/** Without the path, which holds the sender's token. */
const logFormat = AccessLogFormat.custom(
  JSON.stringify({
    time: '$context.requestTime',
    request: '$context.requestId',
    from: '$context.identity.sourceIp',
    agent: '$context.identity.userAgent',
    status: '$context.status',
    bytes: '$context.responseLength',
    error: '$context.error.message',
    integrationError: '$context.integrationErrorMessage',
  }),
);
