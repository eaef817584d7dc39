import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Failure, Session } from '@/bridge';
import { useCall } from '@/bridge/query';
import { formatNumber } from '@/format/number';
import { formatSize, formatSpeed } from '@/format/size';
import { ErrorState, Section, SPARK_POINTS, Sparkline } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';
import { type Usage, usage } from './stats';

const EVERY_MS = 2_000;

/** Not every manager tells what a session uses. */
const tellsNone = (failure: Failure | null) => failure?.code === 'unsupported';

/** Live use of the session, with the last two minutes as lines. */
export function StatsPanel({ session }: { session: Session }) {
  const { t } = useTranslation();
  const query = useCall(
    'session.stats',
    { session: session.id },
    {
      refetchInterval: ({ state }) => (tellsNone(state.error) ? false : EVERY_MS),
      staleTime: 0,
    },
  );
  const [past, setPast] = useState<readonly Usage[]>([]);

  useEffect(() => {
    if (!query.data) return;
    const now = usage(query.data);
    setPast((before) =>
      before.at(-1)?.at === now.at ? before : [...before, now].slice(-SPARK_POINTS),
    );
  }, [query.data]);

  const now = past.at(-1);
  if (tellsNone(query.error)) return null;
  if (query.error && !now) return <ErrorState failure={query.error} />;
  const cores = Number(session.occupied_slots.cpu) || 1;
  const limit = now?.memLimit ?? (Number(session.occupied_slots.mem) || null);
  const of = (value: string, total: string) => t('session.stats.of', { value, total });
  const tiles = [
    {
      key: 'cpu' as const,
      text: now && of(formatNumber(now.cpu, 2), formatNumber(cores, 2)),
      values: past.map((one) => one.cpu),
      max: cores,
    },
    {
      key: 'mem' as const,
      text: now && (limit ? of(formatSize(now.mem), formatSize(limit)) : formatSize(now.mem)),
      values: past.map((one) => one.mem),
      max: limit ?? undefined,
    },
    {
      key: 'net' as const,
      text: now && `↓ ${formatSpeed(now.down)}  ↑ ${formatSpeed(now.up)}`,
      values: past.map((one) => one.down + one.up),
      max: 1024,
    },
  ];
  return (
    <Section title={t('session.stats.title')}>
      <div className={styles.stats} data-testid={ids.drawer.stats}>
        {tiles.map(({ key, text, values, max }) => (
          <div key={key} className={styles.stat} data-metric={key}>
            <span className="muted">{t(`session.stats.${key}`)}</span>
            <strong>{text ?? '–'}</strong>
            <Sparkline values={values} max={max} label={t(`session.stats.${key}`)} />
          </div>
        ))}
      </div>
    </Section>
  );
}
