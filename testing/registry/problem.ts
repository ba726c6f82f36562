import type { ServerResponse } from 'node:http';

/** A refusal as the distribution specification words it ("Error Codes"): thrown anywhere, answered in one place. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly code: string;
  readonly headers: Record<string, string>;

  constructor(status: number, code: string, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export function answerProblem(response: ServerResponse, problem: Problem): void {
  const body = JSON.stringify({ errors: [{ code: problem.code, message: problem.message }] });
  response.writeHead(problem.status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    ...problem.headers,
  });
  response.end(body);
}
