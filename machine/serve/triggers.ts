/** What runs of announced tags say started them. */
export const pushTrigger = 'push';
/** What the run says started it that catches up when the process starts. */
export const startTrigger = 'start';
