import { Button } from 'antd';
import { CircleCheck, CircleX, TriangleAlert } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useCall } from '@/bridge/query';
import { CopyButton, ErrorState, Section, StatusTag } from '@/kit';
import { ids } from '@/testids';
import styles from './settings.module.css';

const LOOKS = {
  ok: { tone: 'good', icon: CircleCheck },
  warning: { tone: 'warning', icon: TriangleAlert },
  failed: { tone: 'bad', icon: CircleX },
} as const;

/** Checks the computer, the engine, the keychain, the proxy and the manager. */
export function DoctorSection() {
  const { t } = useTranslation();
  const [asked, setAsked] = useState(false);
  const query = useCall('doctor.run', {}, { enabled: asked, staleTime: 0, gcTime: 0 });
  const checks = query.data?.checks ?? [];
  const run = () => {
    if (asked) void query.refetch();
    setAsked(true);
  };
  const report = checks
    .map(({ state, name, detail, fix }) => `${state}\t${name}\t${detail}${fix ? ` → ${fix}` : ''}`)
    .join('\n');
  return (
    <Section
      title={t('doctor.title')}
      text={t('doctor.text')}
      extra={
        <span className={styles.buttons}>
          {checks.length > 0 && <CopyButton text={report} label={t('doctor.copy')} size="middle" />}
          <Button onClick={run} loading={query.isFetching} data-testid={ids.settings.doctor}>
            {t('doctor.run')}
          </Button>
        </span>
      }
    >
      {query.error && <ErrorState failure={query.error} onRetry={run} />}
      {checks.length > 0 && (
        <ul className={styles.checks}>
          {checks.map(({ name, state, detail, fix }) => (
            <li key={name} data-check={name} data-state={state}>
              <StatusTag {...LOOKS[state]} text={t(`doctor.state.${state}`)} />
              <span>
                <strong>{name}</strong> {detail}
                {fix && <small className="muted">{fix}</small>}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}
