import { Input } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Section } from '@/kit';
import { ids } from '@/testids';
import { Row } from './Row';
import { useSettings } from './useSettings';

/** The user's own editor. */
export function FilesSection() {
  const { t } = useTranslation();
  const { settings, set } = useSettings();
  const kept = settings?.editor ?? '';
  const [text, setText] = useState(kept);
  useEffect(() => setText(kept), [kept]);
  if (!settings) return null;
  const keep = () => {
    if (text.trim() !== kept) set({ editor: text.trim() || null });
  };
  return (
    <Section title={t('nav.files')} text={t('settings.editor_text')}>
      <Row label={t('settings.editor')}>
        <Input
          className="mono"
          style={{ width: 280 }}
          value={text}
          spellCheck={false}
          placeholder={t('settings.editor_default')}
          aria-label={t('settings.editor')}
          onChange={(event) => setText(event.target.value)}
          onBlur={keep}
          onPressEnter={keep}
          data-testid={ids.settings.editor}
        />
      </Row>
    </Section>
  );
}
