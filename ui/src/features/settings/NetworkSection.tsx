import { Button, Input } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useAction } from '@/bridge/query';
import { CertificateQuestion } from '@/features/certificate/CertificateQuestion';
import { TrustedCertificates } from '@/features/certificate/TrustedCertificates';
import { ErrorState, Section } from '@/kit';
import { ids } from '@/testids';
import { Row } from './Row';
import styles from './settings.module.css';
import { useSettings } from './useSettings';

type Key = 'proxy' | 'no_proxy' | 'ca_file' | 'port_pool';

/** The way to managers, tried before it is relied on, and the ports of tunnels. */
export function NetworkSection() {
  const { t } = useTranslation();
  const { settings, set } = useSettings();
  const [endpoint, setEndpoint] = useState('');
  const test = useAction('network.test');
  if (!settings) return null;
  const { proxy, proxy_keychain, no_proxy, ca_file, port_pool } = settings;

  const keep = (key: Key, typed: string) => {
    const text = typed.trim() || null;
    if (text !== settings[key]) set({ [key]: text });
  };
  const tryIt = () => test.mutate({ endpoint: endpoint.trim() || null, proxy, no_proxy, ca_file });

  const field = (key: Key, placeholder: string) => (
    <Row label={t(`network.${key === 'port_pool' ? 'pool' : key}`)}>
      <Input
        key={settings[key]}
        className="mono"
        style={{ width: 280 }}
        spellCheck={false}
        defaultValue={settings[key] ?? ''}
        placeholder={placeholder}
        aria-label={t(`network.${key === 'port_pool' ? 'pool' : key}`)}
        data-testid={ids.settings.network(key)}
        onBlur={(event) => keep(key, event.target.value)}
        onPressEnter={(event) => keep(key, event.currentTarget.value)}
      />
    </Row>
  );

  return (
    <Section title={t('network.title')} text={t('network.text')}>
      {field('port_pool', port_pool ?? '20000-29999')}
      {field('proxy', proxy ?? t('launch.automatic'))}
      {proxy_keychain && <p className="muted">{t('network.password_kept')}</p>}
      {field('no_proxy', no_proxy ?? t('launch.automatic'))}
      {field('ca_file', ca_file ?? t('launch.automatic'))}
      <Row label={t('network.test_endpoint')}>
        <span className={styles.buttons}>
          <Input
            className="mono"
            style={{ width: 280 }}
            value={endpoint}
            placeholder="https://manager.example.com"
            spellCheck={false}
            aria-label={t('network.test_endpoint')}
            onChange={(event) => setEndpoint(event.target.value)}
            onPressEnter={tryIt}
          />
          <Button loading={test.isPending} onClick={tryIt} data-testid={ids.settings.networkTest}>
            {t('network.test')}
          </Button>
        </span>
      </Row>
      {test.error &&
        (test.error.code === 'certificate_untrusted' && endpoint !== '' ? (
          <CertificateQuestion endpoint={endpoint} failure={test.error} onTrusted={test.reset} />
        ) : (
          <ErrorState failure={test.error} />
        ))}
      {test.data && (
        <p role="status">
          {t('network.tested', {
            endpoint: test.data.endpoint,
            ms: test.data.took_ms,
            version: test.data.manager,
          })}
        </p>
      )}
      <TrustedCertificates kept={settings.trusted_certificates} />
    </Section>
  );
}
