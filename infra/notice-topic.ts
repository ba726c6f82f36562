import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';

/** Mails alarms and failed runs to one address, which must confirm that it wants them. */
export class NoticeTopic extends Construct {
  readonly topic: Topic;

  constructor(scope: Construct, id: string, props: { email: string; encryptionKey?: IKey | undefined }) {
    super(scope, id);
    this.topic = new Topic(this, 'Topic', {
      displayName: 'Tranship',
      enforceSSL: true,
      ...(props.encryptionKey && { masterKey: props.encryptionKey }),
    });
    this.topic.addSubscription(new EmailSubscription(props.email));
    // Alarms cannot be published to a topic whose key CloudWatch may not use.
    props.encryptionKey?.grantEncryptDecrypt(new ServicePrincipal('cloudwatch.amazonaws.com'));
  }
}
