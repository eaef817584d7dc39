import { Alert, Button, Skeleton } from 'antd';
import { useTranslation } from 'react-i18next';
import type { CertificateShown } from '@/bridge';
import { useCall } from '@/bridge/query';
import { CopyButton, ErrorState } from '@/kit';
import { ids } from '@/testids';
import { useTrust } from './useTrust';

interface Props {
  endpoint: string;
  /** The manager may be asked again. */
  onTrusted: () => void;
}

/** Shows the certificate that nobody vouches for, for the user to compare. */
export function CertificateQuestion({ endpoint, onTrusted }: Props) {
  const shown = useCall('network.certificate', { endpoint }, { staleTime: 0 });
  if (shown.isFetching) return <Skeleton active />;
  if (shown.error) return <ErrorState failure={shown.error} />;
  // Trusted by now, or never the cause: then there is nothing to decide.
  if (!shown.data || shown.data.problem === null) return null;
  return <Question shown={shown.data} onTrusted={onTrusted} />;
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
        <>
          <p>{t('certificate.compare')}</p>
          <p>
            <code data-testid={ids.certificate.fingerprint} style={{ overflowWrap: 'anywhere' }}>
              {fingerprint}
            </code>{' '}
            <CopyButton text={fingerprint} />
          </p>
          <p className="muted">{problem}</p>
          <Button
            danger
            loading={trust.isPending}
            onClick={() => trust.keep({ host, fingerprint }, onTrusted)}
            data-testid={ids.certificate.trust}
          >
            {t('certificate.trust', { host })}
          </Button>
        </>
      }
    />
  );
}
