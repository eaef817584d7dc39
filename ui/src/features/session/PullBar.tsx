import { Progress as Bar } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Pulling } from '@/bridge';
import { formatSize } from '@/format/size';
import { ids } from '@/testids';

/** How far a session's image is. Its size is known only bit by bit, as its layers begin. */
export function PullBar({ pulling: { bytes, total } }: { pulling: Pulling }) {
  const { t } = useTranslation();
  const percent = total > 0 ? Math.min(100, Math.floor((100 * bytes) / total)) : 0;
  const text = t('session.pulling', { bytes: formatSize(bytes), total: formatSize(total) });
  return (
    <div data-testid={ids.drawer.pull} data-percent={percent}>
      <p role="status">{text}</p>
      <Bar percent={percent} size="small" aria-label={text} />
    </div>
  );
}
