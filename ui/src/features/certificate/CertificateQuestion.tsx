import { Alert, Button, Skeleton } from 'antd';
import { useTranslation } from 'react-i18next';
import type { CertificateShown, Failure } from '@/bridge';
import { useCall } from '@/bridge/query';
import { CopyButton, ErrorState } from '@/kit';
import { ids } from '@/testids';
import styles from './certificate.module.css';
import { useTrust } from './useTrust';

interface Props {
  endpoint: string;
  /** What was refused; shown where there turns out to be nothing to decide. */
  failure: Failure;
  /** The manager may be asked again. */
  onTrusted: () => void;
}

/** Shows the certificate that nobody vouches for, for the user to compare. */
export function CertificateQuestion({ endpoint, failure, onTrusted }: Props) {
  const shown = useCall('network.certificate', { endpoint }, { staleTime: 0 });
  if (shown.isFetching) return <Skeleton active />;
  if (shown.error) return <ErrorState failure={shown.error} />;
  // Trusted by now, or never the cause: then there is nothing to decide.
  if (!shown.data || shown.data.problem === null) return <ErrorState failure={failure} />;
  return <Question shown={shown.data} onTrusted={onTrusted} />;
}

/** Bytes in one line, so that two fingerprints are compared line by line. */
const IN_A_LINE = 8;

/** Broken between bytes only, never inside one. */
function inLines(fingerprint: string): string {
  const bytes = fingerprint.split(':');
  const lines = Array.from({ length: Math.ceil(bytes.length / IN_A_LINE) }, (_, line) =>
    bytes.slice(line * IN_A_LINE, (line + 1) * IN_A_LINE).join(':'),
  );
  return lines.join(':\n');
}

function Question({ shown, onTrusted }: { shown: CertificateShown; onTrusted: () => void }) {
  const { t } = useTranslation();
  const trust = useTrust();
  const { host, fingerprint, problem, kept } = shown;
  const changed = kept !== null && kept !== fingerprint;
  return (
    <Alert
      type="warning"
      showIcon
      data-testid={ids.certificate.question}
      title={t(changed ? 'certificate.changed' : 'certificate.unknown', { host })}
      description={
        <div className={styles.question}>
          <p>{t('certificate.compare')}</p>
          <p className={styles.fingerprint}>
            <code data-testid={ids.certificate.fingerprint}>{inLines(fingerprint)}</code>
            <CopyButton text={fingerprint} />
          </p>
          <details>
            <summary>{t('error.details')}</summary>
            <code>{problem}</code>
          </details>
          <Button
            danger
            loading={trust.isPending}
            onClick={() => trust.keep({ host, fingerprint }, onTrusted)}
            data-testid={ids.certificate.trust}
          >
            {t('certificate.trust', { host })}
          </Button>
        </div>
      }
    />
  );
}
