import { App, Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { useAction, useCall } from '@/bridge/query';
import { formatNumber } from '@/format/number';
import { ErrorState, Facts, Section, useToast } from '@/kit';

/** The bundled engine: whether it runs, and stopping it, which leaves the sessions alone. */
export function EngineSection() {
  const { t } = useTranslation();
  const toast = useToast();
  const { modal } = App.useApp();
  const query = useCall('engine.status', {});
  const start = useAction('engine.start');
  const stop = useAction('engine.stop');
  const engine = query.data;
  const ask = () =>
    modal.confirm({
      title: t('engine.stop_title'),
      content: t('engine.stop_text'),
      okText: t('engine.stop'),
      onOk: () => stop.mutateAsync({}).catch(toast.failed),
    });
  return (
    <Section
      title={t('engine.title')}
      text={t('engine.text')}
      extra={
        engine &&
        (engine.running ? (
          <Button onClick={ask} loading={stop.isPending}>
            {t('engine.stop')}
          </Button>
        ) : (
          <Button
            onClick={() => start.mutate({}, { onError: toast.failed })}
            loading={start.isPending}
          >
            {t('engine.start')}
          </Button>
        ))
      }
    >
      {query.error && !engine && <ErrorState failure={query.error} />}
      {engine && (
        <Facts
          items={[
            [
              t('engine.state'),
              engine.running ? t('statusbar.engine_on') : t('statusbar.engine_off'),
            ],
            [t('settings.version'), engine.version ?? '–'],
            [t('settings.endpoint'), <code key="endpoint">{engine.endpoint ?? '–'}</code>],
            [t('engine.pid'), engine.pid === null ? '–' : String(engine.pid)],
            [t('nav.sessions'), engine.sessions === null ? '–' : formatNumber(engine.sessions)],
            [t('engine.data'), <code key="data">{engine.data_dir}</code>],
          ]}
        />
      )}
    </Section>
  );
}
