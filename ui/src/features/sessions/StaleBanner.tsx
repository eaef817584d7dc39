import { Alert, Button } from 'antd';
import { useTranslation } from 'react-i18next';
import type { SessionList } from '@/bridge';
import { failureText } from '@/i18n/failure';
import { Ago } from '@/kit';
import { ids } from '@/testids';

/** Says that the list is what was seen last, how old it is, and why. */
export function StaleBanner({ list, onRetry }: { list: SessionList; onRetry: () => void }) {
  const { t } = useTranslation();
  return (
    <Alert
      type="warning"
      showIcon
      data-testid={ids.sessions.stale}
      title={
        <>
          {list.failure && failureText(list.failure)} {t('sessions.stale')} <Ago at={list.as_of} />{' '}
          {list.failure && <code>{list.failure.code}</code>}
        </>
      }
      action={
        <Button size="small" onClick={onRetry}>
          {t('action.retry')}
        </Button>
      }
    />
  );
}
