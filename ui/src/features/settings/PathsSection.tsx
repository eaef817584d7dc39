import { FolderOpen } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { useAction, useCall } from '@/bridge/query';
import { CopyButton, IconButton, Section, useToast } from '@/kit';
import styles from './settings.module.css';

const KINDS = ['config', 'state', 'logs', 'engine', 'runtime'] as const;

/** Where everything is kept. */
export function PathsSection() {
  const { t } = useTranslation();
  const toast = useToast();
  const paths = useCall('paths.show', {}).data;
  const reveal = useAction('host.reveal');
  if (!paths) return null;
  return (
    <Section title={t('paths.title')}>
      <ul className={styles.paths}>
        {KINDS.map((kind) => (
          <li key={kind}>
            <span className="muted">{t(`paths.${kind}`)}</span>
            <code className="truncate" title={paths[kind]}>
              {paths[kind]}
            </code>
            <CopyButton text={paths[kind]} />
            <IconButton
              label={t('paths.reveal')}
              icon={<FolderOpen size={14} />}
              size="small"
              onClick={() => reveal.mutate({ path: paths[kind] }, { onError: toast.failed })}
            />
          </li>
        ))}
      </ul>
    </Section>
  );
}
