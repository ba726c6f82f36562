import type { Template as CdkTemplate } from 'aws-cdk-lib/assertions';
import { attributeOf } from './names.ts';
import { type Resolved, resolveTemplate, type Template } from './template.ts';

/** A template of the CDK's tests with its intrinsic functions resolved, as in the account of the host. */
export function resolved(template: CdkTemplate): Resolved {
  return resolveTemplate(template.toJSON() as Template, (id, resource, attribute, self) => {
    if (attribute === 'FunctionUrl') return `https://${'x'.repeat(32)}.lambda-url.us-east-1.on.aws/`;
    return attributeOf('https://sqs.us-east-1.amazonaws.com', { id, resource, attribute, template: self });
  });
}
