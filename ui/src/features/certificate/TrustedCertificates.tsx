import { Trash2 } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { TrustedCertificate } from '@/bridge';
import { IconButton } from '@/kit';
import { ids } from '@/testids';
import styles from './certificate.module.css';
import { useTrust } from './useTrust';

/** The certificates that are trusted because the user said so, each to be forgotten. */
export function TrustedCertificates({ kept }: { kept: TrustedCertificate[] }) {
  const { t } = useTranslation();
  const trust = useTrust();
  if (kept.length === 0) return null;
  return (
    <>
      <p className={styles.keptTitle}>{t('certificate.kept')}</p>
      <ul className={styles.kept} data-testid={ids.certificate.kept}>
        {kept.map(({ host, fingerprint }) => (
          <li key={host}>
            <span>{host}</span>
            <code title={fingerprint}>{`${fingerprint.slice(0, 23)}…`}</code>
            <IconButton
              label={t('certificate.forget', { host })}
              icon={<Trash2 size={14} />}
              size="small"
              onClick={() => trust.forget(host)}
              testId={ids.certificate.forget(host)}
            />
          </li>
        ))}
      </ul>
    </>
  );
}
