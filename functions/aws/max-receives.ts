/**
 * Deliveries of a message until SQS makes it a dead letter. A delivery counts when it ends without a result (out of memory,
 * killed, out of time, throttled by the account's limit); what is tried again on purpose is sent as a new message and does
 * not count. AWS advises 5 at least. With the waits between them, 10 outlast a service that fails for an hour.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
 */
export const MAX_RECEIVES = 10;
