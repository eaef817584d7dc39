import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { App as AntApp, ConfigProvider } from 'antd';
import type { Locale } from 'antd/es/locale';
import enUS from 'antd/locale/en_US';
import jaJP from 'antd/locale/ja_JP';
import koKR from 'antd/locale/ko_KR';
import { useEffect, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { listen, onPlace } from './bridge';
import { invalidate, queryClient, readAnew, useCall } from './bridge/query';
import { changeLanguage, type Language } from './i18n';
import { router } from './routes';
import { HostConfirm } from './shell/HostConfirm';
import { useAppearance } from './theme/appearance';
import { themeConfig } from './theme/tokens';

const PACKS: Record<Language, Locale> = { en: enUS, ko: koKR, ja: jaJP };

export function App() {
  return (
    <QueryClientProvider client={queryClient}>
      <Themed />
    </QueryClientProvider>
  );
}

/** The program in the look and language of the settings; before they are read, of the system. */
function Themed() {
  const settings = useCall('settings.get', {}).data;
  const language = settings?.language ?? 'system';
  const density = settings?.density ?? 'comfortable';
  const { scheme, motion } = useAppearance(settings?.theme ?? 'system', density);
  const { i18n } = useTranslation();

  useEffect(() => {
    void changeLanguage(language);
  }, [language]);

  // Who is logged in may have changed in another window or in a terminal.
  useEffect(
    () => listen((tag) => void (tag === 'profile' ? readAnew() : invalidate(queryClient, tag))),
    [],
  );

  useEffect(
    () =>
      onPlace((place) => {
        window.location.hash = place;
      }),
    [],
  );

  const config = useMemo(() => themeConfig(scheme, density, motion), [scheme, density, motion]);
  return (
    <ConfigProvider
      theme={config}
      locale={PACKS[i18n.language as Language] ?? enUS}
      wave={{ disabled: true }}
      button={{ autoInsertSpace: false }}
      form={{ requiredMark: false }}
    >
      <AntApp className="app" message={{ maxCount: 3 }}>
        <RouterProvider router={router} />
        <HostConfirm />
      </AntApp>
    </ConfigProvider>
  );
}
