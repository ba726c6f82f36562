import { SecretValue, Validations } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

/** An auth file without logins: all registries are talked to anonymously, ECR by role. */
const EMPTY_AUTH_FILE = '{}';

/** The secret that holds the registries' logins. Its value is put in by hand and is no part of the template. */
export class Logins extends Construct {
  readonly secret: Secret;

  constructor(scope: Construct, id: string, props: { encryptionKey?: IKey | undefined }) {
    super(scope, id);
    this.secret = new Secret(this, 'Secret', {
      description:
        'Logins of Tranship, an auth file: {"registry.example.com": {"username": "...", "password": "..."}, ...}',
      // "When you make a change to this property, a new secret version is created": a later deployment leaves the value
      // alone, for as long as this text stays as it is, whatever becomes of the other properties.
      // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html
      secretStringValue: SecretValue.unsafePlainText(EMPTY_AUTH_FILE),
      ...(props.encryptionKey && { encryptionKey: props.encryptionKey }),
    });
    Validations.of(this.secret).acknowledge({
      id: 'AwsSolutions::AwsSolutions-SMG4',
      reason: 'The registries issue these logins; only they, or whoever keeps the secret, can rotate them.',
    });
  }
}
