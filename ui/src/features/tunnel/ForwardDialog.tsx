import { Alert, Checkbox, Form, Input, InputNumber, Modal, Radio } from 'antd';
import { useTranslation } from 'react-i18next';
import { call, type Session, type Tunnel, type TunnelProtocol, toFailure } from '@/bridge';
import { openUrl } from '@/bridge/openUrl';
import { useAction } from '@/bridge/query';
import { ErrorState, useToast } from '@/kit';
import { ids } from '@/testids';
import { networks } from './networks';

interface Fields {
  remotePort: number | null;
  protocol: TunnelProtocol;
  localPort: number | null;
  keep: boolean;
  open: boolean;
  allow: string;
}

interface Props {
  session: Session;
  /** A port of the session that was found; otherwise the user says which. */
  port: number | null;
  onClose: () => void;
}

const PORT = { min: 1, max: 65_535 };
const LOCAL_PORT = { min: 1025, max: 65_534 };

/** Brings a port of a session to this computer, and to others if that is wanted in so many words. */
export function ForwardDialog({ session, port, onClose }: Props) {
  const { t } = useTranslation();
  const toast = useToast();
  const [form] = Form.useForm<Fields>();
  const open = useAction('tunnel.open');
  const others = Form.useWatch('open', form) ?? false;

  const show = (tunnel: Tunnel) => {
    onClose();
    if (!tunnel.url) return;
    call('tunnel.address', { id: tunnel.id })
      .then(({ url }) => openUrl(url))
      .catch((thrown: unknown) => toast.failed(toFailure(thrown)));
  };
  const start = (fields: Fields) =>
    open.mutate(
      {
        session: session.id,
        remote_port: fields.remotePort,
        local_port: fields.localPort,
        protocol: fields.protocol,
        keep: fields.keep,
        guarded: !fields.open,
        public: fields.open ? { allow: networks(fields.allow), understood: true } : null,
      },
      { onSuccess: show },
    );

  return (
    <Modal
      open
      width={460}
      title={t('ports.forward_title')}
      onCancel={onClose}
      okText={t('ports.forward')}
      onOk={form.submit}
      okButtonProps={{
        danger: others,
        loading: open.isPending,
        'data-testid': ids.forward.submit,
      }}
    >
      <Form<Fields>
        form={form}
        layout="vertical"
        initialValues={{
          remotePort: port,
          protocol: 'tcp',
          localPort: null,
          keep: false,
          open: false,
          allow: '',
        }}
        onFinish={start}
        data-testid={ids.forward.dialog}
      >
        <Form.Item<Fields>
          name="remotePort"
          label={t('ports.remote_port')}
          rules={[{ required: true, message: t('ports.rule_port') }]}
        >
          <InputNumber
            {...PORT}
            precision={0}
            autoFocus={port === null}
            data-testid={ids.forward.remotePort}
          />
        </Form.Item>
        <Form.Item<Fields> name="protocol" label={t('ports.protocol')}>
          <Radio.Group
            options={(['tcp', 'http'] as const).map((value) => ({
              value,
              label: t(`ports.protocols.${value}`),
            }))}
          />
        </Form.Item>
        <Form.Item<Fields>
          name="localPort"
          label={t('ports.local_port')}
          extra={t('ports.local_port_text', LOCAL_PORT)}
        >
          <InputNumber {...LOCAL_PORT} precision={0} data-testid={ids.forward.localPort} />
        </Form.Item>
        <Form.Item<Fields> name="keep" valuePropName="checked" noStyle>
          <Checkbox>{t('tunnels.keep')}</Checkbox>
        </Form.Item>
        <Form.Item<Fields> name="open" valuePropName="checked">
          <Checkbox>
            <span data-testid={ids.forward.open}>{t('ports.public')}</span>
          </Checkbox>
        </Form.Item>
        {others && (
          <>
            <Alert type="warning" showIcon title={t('ports.public_warning')} />
            <Form.Item<Fields>
              name="allow"
              label={t('ports.allow')}
              extra={t('ports.allow_text')}
              style={{ marginBlock: 12 }}
            >
              <Input
                placeholder="192.168.1.0/24, 10.0.0.7"
                autoComplete="off"
                spellCheck={false}
                data-testid={ids.forward.allow}
              />
            </Form.Item>
          </>
        )}
        {open.error && <ErrorState failure={open.error} />}
        <button type="submit" hidden />
      </Form>
    </Modal>
  );
}
