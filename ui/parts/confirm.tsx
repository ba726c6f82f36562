import { useEffect, useRef, useState } from 'preact/hooks';
import type { ActionAnswer } from '../../core/status/view.ts';
import { ApiError } from '../api.ts';

/**
 * A button that asks before it does anything, and says what came of it.
 * @param done what to say, by how many tags or rules it concerns
 */
export function ConfirmButton(props: {
  label: string;
  question: string;
  explanation: string;
  act: () => Promise<ActionAnswer>;
  done: (count: number) => string;
  primary?: boolean;
}) {
  const { label, question, explanation, act, done, primary } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [told, setTold] = useState<{ text: string; isError: boolean }>();
  useEffect(() => {
    if (told === undefined || told.isError) return;
    const timer = setTimeout(() => setTold(undefined), 8_000);
    return () => clearTimeout(timer);
  }, [told]);
  const confirm = async () => {
    setBusy(true);
    try {
      const { count } = await act();
      setTold({ text: done(count), isError: false });
    } catch (error) {
      const { message, mend } = error instanceof ApiError ? error : new ApiError(0, String(error));
      setTold({ text: mend === undefined ? message : `${message}. ${mend}`, isError: true });
    }
    setBusy(false);
    dialog.current?.close();
  };
  return (
    <>
      <button type="button" class={primary ? 'primary' : ''} onClick={() => dialog.current?.showModal()}>
        {label}
      </button>
      <span class={`told ${told?.isError ? 'error' : ''}`} role="status">
        {told?.text}
      </span>
      <dialog ref={dialog} aria-label={question}>
        <h2>{question}</h2>
        <p>{explanation}</p>
        <div class="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="button" class="primary" disabled={isBusy} onClick={confirm}>
            {label}
          </button>
        </div>
      </dialog>
    </>
  );
}
