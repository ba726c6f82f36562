import { configurationError, type TranshipError } from '../model/errors.ts';

/** Environment variables by name, as `process.env` has them. */
export type Env = Readonly<Record<string, string | undefined>>;

const bracedOrBare = /\$(?:\{([^}]*)(\}?)|([*#$@!?\-0-9])|([A-Za-z_][A-Za-z0-9_]*))/g;

/**
 * Puts in environment variables by the grammar of Go's `os.ExpandEnv`: `$NAME` and `${NAME}`; a dollar before anything
 * else stays. Where Go puts nothing for a variable that is not set, this is an error; and `$$`, which Go drops, is a
 * dollar.
 *
 * @param options.secret the text may be a password: the error then names a variable only where the text is nothing else
 * @throws TranshipError `config-invalid`, naming the variable
 * @see https://pkg.go.dev/os#Expand
 */
export function expandEnv(text: string, env: Env, options: { secret?: boolean } = {}): string {
  return text.replace(bracedOrBare, (all, braced?: string, close?: string, special?: string, bare?: string) => {
    if (special === '$') return '$';
    if (braced !== undefined && (braced === '' || close === '')) {
      throw fault('a dollar with a brace in it does not enclose a name', `write \${NAME}, or $$ for a dollar`);
    }
    if (braced?.startsWith('{')) {
      throw fault(
        'this is a template that was not filled in',
        `GitHub fills it in within a workflow only: put it into the step's env:, and write \${NAME} here`,
      );
    }
    const name = braced ?? special ?? bare ?? '';
    const value = env[name];
    if (value !== undefined) return value;
    const shown = options.secret && all !== text ? 'a variable in it' : `the environment variable ${name}`;
    throw fault(`${shown} is not set`, 'set it, or write $$ for a dollar');
  });
}

/** The variable's name where the whole text is one reference to a variable: `$NAME` or `${NAME}`. */
export function wholeVariable(text: string): string | undefined {
  const match = /^\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))$/.exec(text);
  return match?.[1] ?? match?.[2];
}

function fault(what: string, mend: string): TranshipError {
  return configurationError(what, { mend });
}
