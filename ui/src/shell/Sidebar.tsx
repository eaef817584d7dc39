import { Link, useNavigate } from '@tanstack/react-router';
import { Dropdown, Modal } from 'antd';
import { ChevronsUpDown, Monitor, Search, Server } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { inWindow } from '@/bridge';
import { forgetAll, useAction, useCall } from '@/bridge/query';
import { RemoteLogin } from '@/features/login/RemoteLogin';
import { ids } from '@/testids';
import { SECTIONS } from './sections';
import styles from './shell.module.css';
import { modifierName } from './shortcuts';

export function Sidebar({ onPalette }: { onPalette: () => void }) {
  const { t } = useTranslation();
  return (
    <nav className={styles.sidebar} aria-label={t('nav.label')}>
      <AccountMenu />
      <button
        type="button"
        className={styles.search}
        onClick={onPalette}
        data-testid={ids.nav.palette}
      >
        <Search size={14} aria-hidden />
        <span className="truncate">{t('palette.open')}</span>
        <kbd>{modifierName()}K</kbd>
      </button>
      <ul className={styles.sections}>
        {SECTIONS.map(({ key, to, icon: Icon }) => (
          <li key={key} data-last={key === 'settings'}>
            <Link
              to={to}
              className={styles.link}
              activeProps={{ 'data-active': true, 'aria-current': 'page' }}
              activeOptions={{ exact: to === '/', includeSearch: false }}
              data-testid={ids.nav.item(key)}
            >
              <Icon size={16} strokeWidth={1.7} aria-hidden />
              <span className="truncate">{t(`nav.${key}`)}</span>
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** Who is logged in where; the other profiles and the way out. */
function AccountMenu() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const account = useCall('whoami', {}).data;
  const profiles = useCall('profile.list', {}).data?.profiles ?? [];
  const use = useAction('profile.use');
  const logout = useAction('logout');
  const [adding, setAdding] = useState(false);
  const quit = useAction('app.leave');
  const current = profiles.find((profile) => profile.current);
  const title = !current || current.name === 'local' ? t('profile.this_computer') : current.title;
  const items = [
    ...profiles.map((profile) => ({
      key: `use:${profile.name}`,
      label: profile.name === 'local' ? t('profile.this_computer') : profile.title,
      disabled: profile.current,
      onClick: () => use.mutate({ name: profile.name }, { onSuccess: forgetAll }),
    })),
    {
      key: 'add',
      label: t('profile.add'),
      onClick: () => setAdding(true),
    },
    { type: 'divider' as const },
    {
      key: 'settings',
      label: t('nav.settings'),
      onClick: () => void navigate({ to: '/settings' }),
    },
    {
      key: 'logout',
      label: t('profile.logout'),
      onClick: () => logout.mutate({}, { onSuccess: forgetAll }),
    },
    ...(inWindow()
      ? [
          { type: 'divider' as const },
          {
            key: 'quit',
            label: t('leave.quit'),
            extra: `${modifierName()}Q`,
            onClick: () => quit.mutate({ choice: 'ask' }),
          },
        ]
      : []),
  ];
  const Place = account?.profile === 'local' ? Monitor : Server;
  return (
    <>
      <Dropdown menu={{ items }} trigger={['click']}>
        <button type="button" className={styles.account} data-testid={ids.nav.account}>
          <Place size={18} strokeWidth={1.6} aria-hidden />
          <span className={styles.accountText}>
            <strong className="truncate">{title}</strong>
            <small className="truncate muted">{account?.email}</small>
          </span>
          <ChevronsUpDown size={14} aria-hidden />
        </button>
      </Dropdown>
      {adding && (
        <Modal
          open
          footer={null}
          width={460}
          title={t('login.another_manager')}
          onCancel={() => setAdding(false)}
        >
          <div data-testid={ids.login.dialog}>
            <RemoteLogin onDone={() => setAdding(false)} />
          </div>
        </Modal>
      )}
    </>
  );
}
