import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { type Ended, type Environment, program, type Workplace } from './command.ts';

/** Where the page is that was built for this run of the tests (build-command.ts). */
export const builtPage = join(dirname(program), 'ui');

export interface RawAnswer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  json(): unknown;
}

/** One request with headers that `fetch` does not let a caller set, such as `Host` and `Origin`. */
export function ask(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: unknown } = {},
): Promise<RawAnswer> {
  const { method = 'GET', headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: () => JSON.parse(text),
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
  });
}

/** `tranship ui` as a process of its own. */
export interface Ui {
  /** What it prints: the address with the token behind `#`. */
  link: string;
  /** Logs in, and sends what the page would send. */
  logIn(): Promise<{
    get(name: string): Promise<unknown>;
    post(name: string, body: object): Promise<unknown>;
  }>;
  stop(): Promise<Ended>;
}

/** Starts it on a free port and waits until it listens. */
export async function startUi(place: Workplace, args: string[] = [], env: Environment = {}): Promise<Ui> {
  const { child, ended } = place.start(['ui', '--port', '0', ...args], env);
  const link = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (part: string) => {
      text += part;
      const found = /http\S+/.exec(text)?.[0];
      if (found !== undefined) resolve(found);
    });
    void ended.then(({ stderr }) => reject(new Error(`ui did not start:\n${stderr}`)));
  });
  const { origin, hash } = new URL(link);
  const call = async (name: string, options: Parameters<typeof ask>[1]) => ask(`${origin}/ui/api/${name}`, options);
  return {
    link,
    async logIn() {
      const fromPage = { 'x-tranship': '1' };
      const body = { token: hash.replace('#token=', '') };
      const answer = await call('login', { method: 'POST', headers: fromPage, body });
      const cookie = String(answer.headers['set-cookie']).split(';', 1)[0] ?? '';
      return {
        get: async (name) => (await call(name, { headers: { cookie } })).json(),
        post: async (name, sent) =>
          (await call(name, { method: 'POST', headers: { ...fromPage, cookie }, body: sent })).json(),
      };
    },
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}
