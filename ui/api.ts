import type { ActionAnswer, RedriveWish } from '../core/status/view.ts';

/** What the server says against a request. */
export class ApiError extends Error {
  readonly status: number;
  readonly mend: string | undefined;

  constructor(status: number, message: string, mend?: string) {
    super(message);
    this.status = status;
    this.mend = mend;
  }
}

/** Asks one question. @throws ApiError; `status` 0 where the server cannot be reached */
export async function ask<View>(
  name: string,
  query: Record<string, string | undefined> = {},
  signal?: AbortSignal,
): Promise<View> {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const text = new URLSearchParams(given).toString();
  return call<View>(`api/${name}${text === '' ? '' : `?${text}`}`, { signal });
}

export function logIn(token: string): Promise<unknown> {
  return post('login', { token });
}

export function logOut(): Promise<unknown> {
  return post('logout', {});
}

export function redrive(wish: RedriveWish): Promise<ActionAnswer> {
  return post('redrive', wish);
}

export function syncNow(): Promise<ActionAnswer> {
  return post('sync', {});
}

function post<View>(name: string, body: object): Promise<View> {
  return call(`api/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-tranship': '1' },
    body: JSON.stringify(body),
  });
}

async function call<View>(url: string, init: RequestInit): Promise<View> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, 'Tranship does not answer', 'See whether it still runs.');
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body as View;
  if (response.ok) throw new ApiError(0, 'The answer broke off');
  const { error = `the server answers ${response.status}`, mend } = (body ?? {}) as { error?: string; mend?: string };
  throw new ApiError(response.status, error, mend);
}
