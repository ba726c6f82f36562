import {
  BatchWriteItemCommand,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type QueryCommandOutput,
  UpdateItemCommand,
  type WriteRequest,
} from '@aws-sdk/client-dynamodb';
import { TranshipError } from '../../core/model/errors.ts';
import { awsError } from './errors.ts';
import { fromStored, type Item, type ReadItem, type StoredItem, toStored } from './items.ts';
import { sendUntilTaken } from './resend.ts';

/** The ledger's one table: string keys `pk` and `sk`, TTL attribute `expiresAt` (epoch seconds), no index. */
export interface Table {
  client: DynamoDBClient;
  name: string;
}

export interface Key {
  pk: string;
  sk: string;
}

/**
 * A condition or filter. `#field` stands for a field of that name (many names are reserved words), `:value` for a given
 * value; a value that is undefined is left out.
 */
export interface Expression {
  text: string;
  values?: Record<string, unknown>;
}

/** BatchWriteItem takes 25 requests. */
const BATCH_SIZE = 25;

/**
 * Puts an item where the condition holds.
 * @returns false where the condition does not hold
 */
export function putItem(table: Table, item: Item, condition?: Expression): Promise<boolean> {
  return conditionally(() =>
    table.client.send(
      new PutItemCommand({
        TableName: table.name,
        Item: toStored(item),
        ConditionExpression: condition?.text,
        ...(condition && placeholders([condition])),
      }),
    ),
  );
}

/**
 * Sets fields of an item where the condition holds, and makes the item where there is none.
 * @returns false where the condition does not hold
 */
export function updateItem(
  table: Table,
  key: Key,
  fields: Record<string, unknown>,
  condition: Expression,
): Promise<boolean> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  const update: Expression = {
    text: `SET ${entries.map(([name]) => `#${name} = :new_${name}`).join(', ')}`,
    values: Object.fromEntries(entries.map(([name, value]) => [`new_${name}`, value])),
  };
  return conditionally(() =>
    table.client.send(
      new UpdateItemCommand({
        TableName: table.name,
        Key: toStored(key),
        UpdateExpression: update.text,
        ConditionExpression: condition.text,
        ...placeholders([update, condition]),
      }),
    ),
  );
}

/** Deletes an item, where a condition is given only if it holds; a missing item is no error. */
export async function deleteItem(table: Table, key: Key, condition?: Expression): Promise<void> {
  await conditionally(() =>
    table.client.send(
      new DeleteItemCommand({
        TableName: table.name,
        Key: toStored(key),
        ConditionExpression: condition?.text,
        ...(condition && placeholders([condition])),
      }),
    ),
  );
}

/** Reads one item, strongly consistent: 1 RCU for up to 4 KB. */
export async function getItem(table: Table, key: Key): Promise<ReadItem | undefined> {
  const command = new GetItemCommand({ TableName: table.name, Key: toStored(key), ConsistentRead: true });
  const output = await table.client.send(command).catch((error) => {
    throw awsError('read ledger', error);
  });
  return output.Item && fromStored(output.Item);
}

export interface QueryOptions {
  pk: string;
  /** Bounds of the sort key, inclusive. */
  between?: { from: string; to: string };
  filter?: Expression;
  /** Only these fields are sent back; the read costs the same. */
  fields?: string[];
  /** Strongly consistent, at twice the price. */
  consistent?: boolean;
  newestFirst?: boolean;
  /** Items to evaluate for one page; without it a page is 1 MB. */
  limit?: number;
}

/** The items of one partition in the order of their sort keys (UTF-8 bytes), one request a page; pages may be empty. */
export async function* queryPages(table: Table, options: QueryOptions): AsyncGenerator<ReadItem[], void> {
  const { between, filter, fields } = options;
  const key: Expression = between
    ? { text: '#pk = :pk AND #sk BETWEEN :from AND :to', values: { pk: options.pk, ...between } }
    : { text: '#pk = :pk', values: { pk: options.pk } };
  const projection: Expression | undefined = fields && { text: fields.map((field) => `#${field}`).join(', ') };
  let cursor: StoredItem | undefined;
  do {
    const command: QueryCommand = new QueryCommand({
      TableName: table.name,
      KeyConditionExpression: key.text,
      FilterExpression: filter?.text,
      ProjectionExpression: projection?.text,
      ...placeholders([key, filter, projection]),
      ConsistentRead: options.consistent === true,
      ScanIndexForward: options.newestFirst !== true,
      Limit: options.limit,
      ExclusiveStartKey: cursor,
    });
    const output: QueryCommandOutput = await table.client.send(command).catch((error) => {
      throw awsError('read ledger', error);
    });
    yield (output.Items ?? []).map(fromStored);
    cursor = output.LastEvaluatedKey;
  } while (cursor !== undefined);
}

/**
 * Puts and deletes without conditions, 25 a request, in no order. No key may be given twice.
 * @throws TranshipError transient, where the table keeps refusing some of them
 */
export async function batchWrite(table: Table, puts: Item[], deletes: Key[] = []): Promise<void> {
  const requests: WriteRequest[] = [
    ...puts.map((item) => ({ PutRequest: { Item: toStored(item) } })),
    ...deletes.map((key) => ({ DeleteRequest: { Key: toStored(key) } })),
  ];
  for (let start = 0; start < requests.length; start += BATCH_SIZE) {
    await sendUntilTaken(
      requests.slice(start, start + BATCH_SIZE),
      async (batch) => {
        const command = new BatchWriteItemCommand({ RequestItems: { [table.name]: batch } });
        const output = await table.client.send(command).catch((error) => {
          throw awsError('write ledger', error);
        });
        return output.UnprocessedItems?.[table.name] ?? [];
      },
      (rest) =>
        new TranshipError(`write ledger: the table keeps refusing ${rest.length} items`, {
          class: 'transient',
          code: 'throttled',
          operation: 'write ledger',
        }),
    );
  }
}

async function conditionally(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return false;
    throw awsError('write ledger', error);
  }
}

function placeholders(expressions: Array<Expression | undefined>): {
  ExpressionAttributeNames: Record<string, string>;
  ExpressionAttributeValues: StoredItem | undefined;
} {
  const names: Record<string, string> = {};
  const values: StoredItem = {};
  for (const { text, values: given = {} } of expressions.filter((one) => one !== undefined)) {
    for (const [placeholder] of text.matchAll(/#\w+/g)) names[placeholder] = placeholder.slice(1);
    for (const [name, value] of Object.entries(toStored(given))) values[`:${name}`] = value;
  }
  // DynamoDB refuses an empty map of values.
  const hasValues = Object.keys(values).length > 0;
  return { ExpressionAttributeNames: names, ExpressionAttributeValues: hasValues ? values : undefined };
}
