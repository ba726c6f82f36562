import { App } from 'aws-cdk-lib';
import { propsFromContext } from './context.ts';
import { TranshipStack } from './tranship-stack.ts';

const app = new App();
const { props, parts } = propsFromContext(app);
new TranshipStack(app, String(app.node.tryGetContext('stack') ?? 'Tranship'), { ...props, parts });
