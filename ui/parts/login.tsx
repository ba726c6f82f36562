import { useState } from 'preact/hooks';
import type { ApiError } from '../api.ts';

export function Login({ error, enter }: { error: ApiError | undefined; enter: (token: string) => Promise<void> }) {
  const [token, setToken] = useState('');
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    await enter(token.trim());
    setBusy(false);
  };
  return (
    <main class="login">
      <form onSubmit={submit}>
        <h1>
          <img src="icon.svg" alt="" width="32" height="32" />
          Tranship
        </h1>
        {/* For password managers, which keep a password by its user. */}
        <input type="text" autocomplete="username" value="tranship" readOnly hidden />
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="current-password"
          required
          value={token}
          aria-describedby="token-help"
          onInput={({ currentTarget }) => setToken(currentTarget.value)}
        />
        <p id="token-help" class="dim">
          <code>tranship ui</code> prints a link with it; for <code>tranship serve</code> it is in the file of{' '}
          <code>--ui-token-file</code>.
        </p>
        {error !== undefined && (
          <p class="error" role="alert">
            {error.message}
            {error.mend !== undefined && `. ${error.mend}`}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy || token.trim() === ''}>
          Log in
        </button>
      </form>
    </main>
  );
}
