import { Alert, Form, Input, Modal } from 'antd';
import { useTranslation } from 'react-i18next';
import type { AppState, Session } from '@/bridge';
import { useAction } from '@/bridge/query';
import { networks } from '@/features/tunnel/networks';
import { CopyButton, ErrorState } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

interface Fields {
  allow: string;
  subdomain: string;
}

interface Props {
  app: AppState;
  session: Session;
  onClose: () => void;
}

/** Lets others use a web app at the cluster's app proxy, after a plain warning. */
export function ShareDialog({ app, session, onClose }: Props) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Fields>();
  const share = useAction('app.share');
  const url = share.data?.url;
  const start = ({ allow, subdomain }: Fields) =>
    share.mutate({
      session: session.id,
      app: app.name,
      allowed: networks(allow),
      subdomain: subdomain.trim() || null,
    });

  return (
    <Modal
      open
      width={460}
      title={t('apps.share_title', { app: app.title })}
      onCancel={onClose}
      cancelText={url ? t('action.close') : t('action.cancel')}
      okText={t('apps.share_do')}
      onOk={form.submit}
      okButtonProps={{
        danger: true,
        loading: share.isPending,
        style: url ? { display: 'none' } : undefined,
        'data-testid': ids.share.submit,
      }}
    >
      {url ? (
        <>
          <p>{t('apps.share_address')}</p>
          <p className={styles.address}>
            <code className="truncate" data-testid={ids.share.url}>
              {url}
            </code>
            <CopyButton text={url} />
          </p>
        </>
      ) : (
        <Form<Fields>
          form={form}
          layout="vertical"
          initialValues={{ allow: '', subdomain: '' }}
          onFinish={start}
          data-testid={ids.share.dialog}
        >
          <Alert type="warning" showIcon title={t('apps.share_warning')} />
          <Form.Item<Fields>
            name="allow"
            label={t('apps.share_allow')}
            extra={t('apps.share_allow_text')}
            style={{ marginBlock: 12 }}
          >
            <Input
              placeholder="192.168.1.0/24, 10.0.0.7"
              autoFocus
              autoComplete="off"
              spellCheck={false}
              data-testid={ids.share.allow}
            />
          </Form.Item>
          <Form.Item<Fields>
            name="subdomain"
            label={t('apps.share_subdomain')}
            extra={t('apps.share_subdomain_text')}
          >
            <Input autoComplete="off" spellCheck={false} data-testid={ids.share.subdomain} />
          </Form.Item>
          {share.error && <ErrorState failure={share.error} />}
          <button type="submit" hidden />
        </Form>
      )}
    </Modal>
  );
}
