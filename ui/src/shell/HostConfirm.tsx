import { App } from 'antd';
import i18next from 'i18next';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { askBeforeHost, type CommandName } from '@/bridge';

/** What a command does outside, in words; its name where the catalogue has none. */
function what(name: CommandName): string {
  const key = `host.what.${name.replace('.', '_')}`;
  return i18next.exists(key) ? String(i18next.t(key as 'host.what.engine_start')) : name;
}

/** In a browser, asks before a command reaches out to this computer. */
export function HostConfirm() {
  const { modal } = App.useApp();
  const { t } = useTranslation();
  useEffect(
    () =>
      askBeforeHost(
        (name) =>
          new Promise((resolve) => {
            modal.confirm({
              title: t('host.title'),
              content: t('host.text', { what: what(name) }),
              okText: t('host.allow'),
              onOk: () => resolve(true),
              onCancel: () => resolve(false),
            });
          }),
      ),
    [modal, t],
  );
  return null;
}
