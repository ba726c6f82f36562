export type { RunSchedule, TranshipProps } from './props.ts';
export { Tranship } from './tranship.ts';
export { TranshipStack } from './tranship-stack.ts';
