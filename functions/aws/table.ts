import {
  BatchWriteItemCommand,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
  type WriteRequest,
} from '@aws-sdk/client-dynamodb';
import { TranshipError } from '../../core/model/errors.ts';
import { fromAws } from './errors.ts';
import { fromStored, type Item, type Plain, type StoredItem, toAttribute, toStored } from './items.ts';
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

/** A condition or filter; `#field` stands for a field of that name (many of them are reserved words), `:value` for a given value. */
export interface Expression {
  text: string;
  values?: Record<string, Plain>;
}

/** BatchWriteItem takes 25 requests. */
const BATCH_SIZE = 25;

/**
 * Puts an item, where the condition holds.
 * @returns false where the condition does not hold
 */
export function putItem(table: Table, item: Item, condition?: Expression): Promise<boolean> {
  return conditionally(() =>
    table.client.send(
      new PutItemCommand({
        TableName: table.name,
        Item: toStored(item),
        ...(condition && { ConditionExpression: condition.text, ...placeholders([condition]) }),
      }),
    ),
  );
}

/**
 * Sets fields of an item, making it where it is not there, where the condition holds.
 * @returns false where the condition does not hold
 */
export function updateItem(
  table: Table,
  key: Key,
  fields: Record<string, Plain>,
  condition: Expression,
): Promise<boolean> {
  const names = Object.keys(fields);
  const update: Expression = {
    text: `SET ${names.map((name) => `#${name} = :new_${name}`).join(', ')}`,
    values: Object.fromEntries(names.map((name) => [`new_${name}`, fields[name] as Plain])),
  };
  return conditionally(() =>
    table.client.send(
      new UpdateItemCommand({
        TableName: table.name,
        Key: toStored({ ...key }),
        UpdateExpression: update.text,
        ConditionExpression: condition.text,
        ...placeholders([update, condition]),
      }),
    ),
  );
}

/** Deletes an item, where the condition holds; an item that is not there is no error. */
export async function deleteItem(table: Table, key: Key, condition: Expression): Promise<void> {
  await conditionally(() =>
    table.client.send(
      new DeleteItemCommand({
        TableName: table.name,
        Key: toStored({ ...key }),
        ConditionExpression: condition.text,
        ...placeholders([condition]),
      }),
    ),
  );
}

/** Reads one item, strongly consistent: 1 RCU for up to 4 KB. */
export async function getItem(table: Table, key: Key): Promise<Record<string, Plain> | undefined> {
  const command = new GetItemCommand({ TableName: table.name, Key: toStored({ ...key }), ConsistentRead: true });
  const answer = await table.client.send(command).catch((error) => {
    throw fromAws('read ledger', error);
  });
  return answer.Item && fromStored(answer.Item);
}

export interface QueryOptions {
  pk: string;
  /** Bounds of the sort key, inclusive. */
  between?: { from: string; to: string };
  filter?: Expression;
  /** Only these fields cross the wire; the read costs the same. */
  fields?: string[];
  /** Costs twice. */
  consistent?: boolean;
  newestFirst?: boolean;
  /** Items to evaluate for one page; without it a page is 1 MB. */
  limit?: number;
}

/** The items of one partition in the order of their sort keys (UTF-8 bytes), one request a page; pages may be empty. */
export async function* queryPages(
  table: Table,
  options: QueryOptions,
): AsyncGenerator<Array<Record<string, Plain>>, void> {
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
      ...(filter && { FilterExpression: filter.text }),
      ...(projection && { ProjectionExpression: projection.text }),
      ...placeholders([key, filter, projection]),
      ConsistentRead: options.consistent === true,
      ScanIndexForward: options.newestFirst !== true,
      Limit: options.limit,
      ...(cursor && { ExclusiveStartKey: cursor }),
    });
    const answer = await table.client.send(command).catch((error) => {
      throw fromAws('read ledger', error);
    });
    yield (answer.Items ?? []).map(fromStored);
    cursor = answer.LastEvaluatedKey;
  } while (cursor !== undefined);
}

/**
 * Puts and deletes without conditions, 25 a request, in no order; no key may be there twice.
 * @throws TranshipError transient, where the table goes on refusing some
 */
export async function batchWrite(table: Table, puts: Item[], deletes: Key[] = []): Promise<void> {
  const requests: WriteRequest[] = [
    ...puts.map((item) => ({ PutRequest: { Item: toStored(item) } })),
    ...deletes.map((key) => ({ DeleteRequest: { Key: toStored({ ...key }) } })),
  ];
  for (let start = 0; start < requests.length; start += BATCH_SIZE) {
    await sendUntilTaken(
      requests.slice(start, start + BATCH_SIZE),
      async (batch) => {
        const command = new BatchWriteItemCommand({ RequestItems: { [table.name]: batch } });
        const answer = await table.client.send(command).catch((error) => {
          throw fromAws('write ledger', error);
        });
        return answer.UnprocessedItems?.[table.name] ?? [];
      },
      (rest) =>
        new TranshipError(`write ledger: the table took all but ${rest.length} items and goes on refusing them`, {
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
    throw fromAws('write ledger', error);
  }
}

function placeholders(expressions: Array<Expression | undefined>): {
  ExpressionAttributeNames: Record<string, string>;
  ExpressionAttributeValues?: StoredItem;
} {
  const names: Record<string, string> = {};
  const values: StoredItem = {};
  for (const expression of expressions) {
    for (const [placeholder, name] of expression?.text.matchAll(/#(\w+)/g) ?? []) names[placeholder] = name as string;
    for (const [name, value] of Object.entries(expression?.values ?? {})) values[`:${name}`] = toAttribute(value);
  }
  // An empty map of values is refused.
  return {
    ExpressionAttributeNames: names,
    ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
  };
}
