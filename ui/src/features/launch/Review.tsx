import { Alert, Button } from 'antd';
import { Play } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Image, Limits } from '@/bridge';
import { formatNumber } from '@/format/number';
import { formatSize, GIB } from '@/format/size';
import { ids } from '@/testids';
import { boundsOf, type Draft } from './draft';
import styles from './launch.module.css';
import { mountTarget } from './rules';

interface Props {
  draft: Draft;
  image: Image | undefined;
  limits: Limits | undefined;
  busy: boolean;
}

/** What is about to be launched, and the button that does it. */
export function Review({ draft, image, limits, busy }: Props) {
  const { t } = useTranslation();
  const waits = (['cpu', 'mem'] as const).some((slot) => {
    const { free, max } = boundsOf(slot, limits, image);
    return draft[slot] > free && draft[slot] <= max;
  });
  const mounts = draft.mounts.filter(Boolean);
  const facts: [string, string][] = [
    [t('launch.name'), draft.name.trim() || t('launch.name_made_up')],
    [t('launch.type'), t(`session_type.${draft.type}`)],
    [t('launch.image'), image?.title ?? '–'],
    [t('slot.cpu'), formatNumber(draft.cpu ?? 0, 2)],
    [t('slot.mem'), formatSize((draft.mem ?? 0) * GIB)],
    ...(draft.gpu > 0 ? [[t('launch.gpu'), formatNumber(draft.gpu, 2)] as [string, string]] : []),
    [t('launch.variables'), formatNumber(draft.environ.length)],
  ];
  return (
    <div className={styles.card} data-testid={ids.launch.review}>
      <h2>{t('launch.review')}</h2>
      <dl>
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd className="truncate" title={value}>
              {value}
            </dd>
          </div>
        ))}
      </dl>
      <h3>{t('launch.folders')}</h3>
      {mounts.length === 0 ? (
        <Alert type="warning" showIcon title={t('launch.nothing_kept')} />
      ) : (
        <ul>
          {mounts.map(({ folder, path, read_only }) => (
            <li key={folder} className="truncate">
              {folder} <code>{mountTarget(folder, path ?? '')}</code>
              {read_only && <span className="muted"> {t('launch.read_only')}</span>}
            </li>
          ))}
        </ul>
      )}
      {waits && <Alert type="info" showIcon title={t('launch.will_wait')} />}
      <Button
        type="primary"
        htmlType="submit"
        block
        size="large"
        icon={<Play size={15} />}
        loading={busy}
        data-testid={ids.launch.submit}
      >
        {t('action.launch')}
      </Button>
    </div>
  );
}
