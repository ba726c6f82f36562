import { App } from 'aws-cdk-lib';
import { TranshipError } from '../core/model/errors.ts';
import { propsFromContext, stackName, warnOfExample } from './context.ts';
import { TranshipStack } from './tranship-stack.ts';

const app = new App();
try {
  const { props, parts } = propsFromContext(app);
  const stack = new TranshipStack(app, stackName(app), { ...props, parts });
  warnOfExample(stack, props);
} catch (error) {
  if (!(error instanceof TranshipError)) throw error;
  // Told as the command tells it: it is the user's file or setting that is wrong, and no stack trace helps.
  console.error(error.mend === undefined ? error.message : `${error.message} — ${error.mend}`);
  process.exit(1);
}
