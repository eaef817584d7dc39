import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { formatDateTime } from '@/format/date';
import { formatNumber } from '@/format/number';
import { formatSize } from '@/format/size';
import { Ago, CopyButton, Elapsed, Facts, Section } from '@/kit';
import { ids } from '@/testids';
import { Notices } from './Notices';
import { PullBar } from './PullBar';
import { StatsPanel } from './StatsPanel';
import styles from './session.module.css';

const BYTE_SLOTS = new Set(['mem']);

function slotText(name: string, amount: string): string {
  const value = Number(amount);
  if (!Number.isFinite(value)) return amount;
  return BYTE_SLOTS.has(name) ? formatSize(value) : formatNumber(value, 2);
}

/** Opens this session in the app of whoever follows it and may see the session. */
const linkTo = (session: Session) => `gangway://session/${session.id}`;

export function Overview({ session }: { session: Session }) {
  const { t } = useTranslation();
  const running = session.status === 'RUNNING' || session.status === 'RUNNING_DEGRADED';
  const slots = Object.entries(
    Object.keys(session.occupied_slots).length > 0
      ? session.occupied_slots
      : session.requested_slots,
  );
  return (
    <>
      <Notices notices={session.notices} />
      {session.pulling && <PullBar pulling={session.pulling} />}
      {running && <StatsPanel session={session} />}
      <Section title={t('session.facts')}>
        <Facts
          items={[
            [t('session.fact.image'), session.image],
            [t('session.fact.type'), t(`session_type.${session.type}`)],
            ...slots.map(
              ([name, amount]) =>
                [
                  name === 'cpu' || name === 'mem' ? t(`slot.${name}`) : name,
                  slotText(name, amount),
                ] as const,
            ),
            [
              t('session.fact.created'),
              session.created_at ? formatDateTime(session.created_at) : '–',
            ],
            session.terminated_at
              ? [t('session.fact.ended'), <Ago key="ended" at={session.terminated_at} />]
              : [t('session.fact.elapsed'), <Elapsed key="age" from={session.created_at} />],
            ...(session.status_info
              ? [[t('session.fact.reason'), session.status_info] as const]
              : []),
            ...(session.exit_code !== null
              ? [[t('session.fact.exit_code'), String(session.exit_code)] as const]
              : []),
            [t('session.fact.owner'), session.owner ?? '–'],
            [t('session.fact.project'), session.project],
            [t('session.fact.resource_group'), session.resource_group ?? '–'],
            [
              t('session.fact.id'),
              <span key="id" className={styles.id}>
                <code className="truncate" title={session.id}>
                  {session.id}
                </code>
                <CopyButton text={session.id} />
              </span>,
            ],
            [
              t('session.fact.link'),
              <span key="link" className={styles.id}>
                <code className="truncate" title={linkTo(session)} data-testid={ids.drawer.link}>
                  {linkTo(session)}
                </code>
                <CopyButton text={linkTo(session)} />
              </span>,
            ],
          ]}
        />
      </Section>
      <Section title={t('session.mounts')}>
        {session.mounts.length === 0 ? (
          <p className="muted">{t('session.no_mounts')}</p>
        ) : (
          <ul className={styles.mounts}>
            {session.mounts.map((mount) => (
              <li key={mount}>
                <Link to="/folders" search={{ open: mount }}>
                  {mount}
                </Link>
              </li>
            ))}
          </ul>
        )}
      </Section>
    </>
  );
}
