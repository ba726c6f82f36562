export type { TranshipProps } from './props.ts';
export type { RunSchedule } from './run-schedule.ts';
export { Tranship } from './tranship.ts';
export { TranshipStack } from './tranship-stack.ts';
