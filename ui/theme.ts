/** `auto` follows the system. */
export type Theme = 'auto' | 'light' | 'dark';

const themes: readonly Theme[] = ['auto', 'light', 'dark'];
const KEY = 'tranship-theme';

export function readTheme(): Theme {
  const kept = localStorage.getItem(KEY);
  return themes.find((theme) => theme === kept) ?? 'auto';
}

export function applyTheme(theme = readTheme()): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** The theme after this one, kept for the next visit. */
export function nextTheme(theme: Theme): Theme {
  const next = themes[(themes.indexOf(theme) + 1) % themes.length] ?? 'auto';
  localStorage.setItem(KEY, next);
  applyTheme(next);
  return next;
}

/** A colour of the style sheet as it is now, for what is drawn on a canvas. */
export function colour(name: string): string {
  const probe = document.body.appendChild(document.createElement('span'));
  probe.style.color = `var(--${name})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
