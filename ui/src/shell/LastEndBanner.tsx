import { Alert } from 'antd';
import { useTranslation } from 'react-i18next';
import { useAction, useCall } from '@/bridge/query';
import { formatDateTime } from '@/format/date';
import { ids } from '@/testids';

/** Names that are told in one line; the rest is counted. */
const SHOWN = 6;

/** Says what was under way when the program's last run was ended from outside. */
export function LastEndBanner() {
  const { t } = useTranslation();
  const client = useCall('app.last_end', {}, { staleTime: Number.POSITIVE_INFINITY });
  const forget = useAction('app.forget_last_end');
  const last = client.data?.last_end;
  if (!last) return null;
  const names = [...last.tunnels, ...last.transfers, ...last.files];
  const more = names.length - SHOWN;
  return (
    <Alert
      banner
      type="info"
      showIcon
      data-testid={ids.leave.lastEnd}
      closable={{
        closeIcon: true,
        onClose: () => forget.mutate({}, { onSuccess: () => void client.refetch() }),
      }}
      title={t(`leave.last.${last.kind}`, {
        time: formatDateTime(last.at),
        names: (more > 0
          ? [...names.slice(0, SHOWN), t('leave.more', { count: more })]
          : names
        ).join(', '),
      })}
    />
  );
}
