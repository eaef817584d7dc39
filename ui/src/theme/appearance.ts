import { useEffect, useSyncExternalStore } from 'react';
import { type Density, paletteVariables, type Scheme } from './tokens';

function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (changed) => {
      const list = window.matchMedia(query);
      list.addEventListener('change', changed);
      return () => list.removeEventListener('change', changed);
    },
    () => window.matchMedia(query).matches,
  );
}

/** What the settings ask for, resolved against the system, live. */
export function useAppearance(wanted: 'system' | Scheme, density: Density) {
  const systemDark = useMedia('(prefers-color-scheme: dark)');
  const strong = useMedia('(prefers-contrast: more)');
  const calm = useMedia('(prefers-reduced-motion: reduce)');
  const scheme: Scheme = wanted === 'system' ? (systemDark ? 'dark' : 'light') : wanted;

  useEffect(() => {
    const root = document.documentElement;
    root.dataset.theme = scheme;
    root.dataset.density = density;
    root.style.colorScheme = scheme;
    for (const [name, value] of Object.entries(paletteVariables(scheme, strong))) {
      root.style.setProperty(name, value);
    }
  }, [scheme, density, strong]);

  return { scheme, motion: !calm };
}
