import { Segmented, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import { inWindow } from '@/bridge';
import { ErrorState, Section } from '@/kit';
import { ids } from '@/testids';
import { Row } from './Row';
import { useSettings } from './useSettings';

// Each language is named in itself: who can't read the present one must find theirs.
const LANGUAGE_NAMES = { en: 'English', ko: '한국어', ja: '日本語' } as const;

export function AppearanceSection() {
  const { t } = useTranslation();
  const { settings, failure, set } = useSettings();
  if (failure && !settings) return <ErrorState failure={failure} />;
  if (!settings) return null;

  return (
    <Section title={t('settings.appearance')}>
      <Row label={t('settings.language')}>
        <Select
          value={settings.language}
          aria-label={t('settings.language')}
          style={{ width: 220 }}
          onChange={(language) => set({ language })}
          options={[
            { value: 'system' as const, label: t('settings.as_system') },
            ...(['en', 'ko', 'ja'] as const).map((value) => ({
              value,
              label: LANGUAGE_NAMES[value],
            })),
          ]}
          data-testid={ids.settings.language}
        />
      </Row>
      <Row label={t('settings.theme')}>
        <Segmented
          value={settings.theme}
          onChange={(theme) => set({ theme })}
          options={(['system', 'light', 'dark'] as const).map((value) => ({
            value,
            label: value === 'system' ? t('settings.as_system') : t(`settings.theme_${value}`),
          }))}
          data-testid={ids.settings.theme}
        />
      </Row>
      <Row label={t('settings.density')}>
        <Segmented
          value={settings.density}
          onChange={(density) => set({ density })}
          options={(['comfortable', 'compact'] as const).map((value) => ({
            value,
            label: t(`settings.density_${value}`),
          }))}
          data-testid={ids.settings.density}
        />
      </Row>
      {inWindow() && (
        <Row label={t('settings.apps_in')}>
          <Segmented
            value={settings.apps_in}
            onChange={(apps_in) => set({ apps_in })}
            options={(['browser', 'window'] as const).map((value) => ({
              value,
              label: t(`settings.apps_in_${value}`),
            }))}
            data-testid={ids.settings.appsIn}
          />
        </Row>
      )}
    </Section>
  );
}
