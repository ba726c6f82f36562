import type { AttributeValue } from '@aws-sdk/client-dynamodb';

/** What the ledger keeps: plain data; fields that are undefined are left out. */
export type Plain = string | number | boolean | Plain[] | { [field: string]: Plain | undefined };

/** An item of the table with its key. */
export type Item = { pk: string; sk: string; [field: string]: Plain | undefined };

export type StoredItem = Record<string, AttributeValue>;

/** Plain data as DynamoDB writes it: S, N, BOOL, L and M. */
export function toAttribute(value: Plain): AttributeValue {
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'number') return { N: String(value) };
  if (typeof value === 'boolean') return { BOOL: value };
  if (Array.isArray(value)) return { L: value.map(toAttribute) };
  return { M: toStored(value) };
}

export function toStored(fields: { [field: string]: Plain | undefined }): StoredItem {
  const stored: StoredItem = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) stored[name] = toAttribute(value);
  }
  return stored;
}

function fromAttribute(value: AttributeValue): Plain | undefined {
  if (value.S !== undefined) return value.S;
  if (value.N !== undefined) return Number(value.N);
  if (value.BOOL !== undefined) return value.BOOL;
  if (value.L !== undefined) return value.L.map(fromAttribute).filter((entry) => entry !== undefined);
  if (value.M !== undefined) return fromStored(value.M);
  return undefined;
}

/** The reverse of {@link toStored}; attributes of kinds that the ledger does not write are left out. */
export function fromStored(stored: StoredItem): { [field: string]: Plain } {
  const fields: { [field: string]: Plain } = {};
  for (const [name, value] of Object.entries(stored)) {
    const plain = fromAttribute(value);
    if (plain !== undefined) fields[name] = plain;
  }
  return fields;
}
