import { Link } from '@tanstack/react-router';
import { Button, Skeleton } from 'antd';
import { SearchX, SquareStack } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { EmptyState } from '@/kit';
import { ids } from '@/testids';

interface Props {
  loading: boolean;
  show: 'running' | 'finished';
  query: string | undefined;
  onClear: () => void;
}

export function SessionsEmpty({ loading, show, query, onClear }: Props) {
  const { t } = useTranslation();
  if (loading) return <Skeleton active style={{ padding: 20 }} title={false} />;
  if (query) {
    return (
      <EmptyState
        icon={SearchX}
        title={t('sessions.empty.search', { query })}
        actions={<Button onClick={onClear}>{t('action.clear_search')}</Button>}
        testId={ids.sessions.empty}
      />
    );
  }
  return (
    <EmptyState
      icon={SquareStack}
      title={t(`sessions.empty.${show}`)}
      text={t(`sessions.empty.${show}_text`)}
      actions={
        show === 'running' && (
          <Link to="/launch">
            <Button type="primary">{t('action.launch')}</Button>
          </Link>
        )
      }
      testId={ids.sessions.empty}
    />
  );
}
