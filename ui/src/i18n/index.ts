import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import { setLocale } from '@/format/locale';
import en from './en.json';
import ja from './ja.json';
import ko from './ko.json';

export const LANGUAGES = ['en', 'ko', 'ja'] as const;
export type Language = (typeof LANGUAGES)[number];

// Keys are plain strings to the type checker, for which the catalogue has too many of them; the
// catalogue's test reads every page and finds a key that is missing or not used.

/** The language that the system asks for, or English. */
function systemLanguage(): Language {
  for (const tag of navigator.languages) {
    const found = LANGUAGES.find((language) => tag.toLowerCase().startsWith(language));
    if (found) return found;
  }
  return 'en';
}

export async function startI18n(): Promise<void> {
  await i18next.use(initReactI18next).init({
    resources: { en: { translation: en }, ko: { translation: ko }, ja: { translation: ja } },
    lng: systemLanguage(),
    fallbackLng: 'en',
    interpolation: { escapeValue: false },
    returnNull: false,
  });
  apply(i18next.language);
}

function apply(language: string): void {
  setLocale(language);
  document.documentElement.lang = language;
}

export async function changeLanguage(wanted: 'system' | Language): Promise<void> {
  const language = wanted === 'system' ? systemLanguage() : wanted;
  if (i18next.language === language) return;
  // Formats first: components draw again as soon as i18next changes.
  apply(language);
  await i18next.changeLanguage(language);
}
