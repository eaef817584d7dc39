import { useNavigate } from '@tanstack/react-router';
import { Button, Input, Modal } from 'antd';
import { Pencil, Pin, PinOff, Play, SlidersHorizontal, X } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Launch } from '@/bridge';
import { useAction } from '@/bridge/query';
import { IconButton, useToast } from '@/kit';
import { ids } from '@/testids';

/** Launch again at once, launch with changes, pin, give a title, forget. */
export function LaunchActions({ launch }: { launch: Launch }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const toast = useToast();
  const relaunch = useAction('history.relaunch');
  const pin = useAction(launch.pinned ? 'history.unpin' : 'history.pin');
  const remove = useAction('history.remove');
  const [renaming, setRenaming] = useState(false);
  const { id, name } = launch;
  return (
    <>
      <Button
        size="small"
        icon={<Play size={13} />}
        loading={relaunch.isPending}
        onClick={() =>
          relaunch.mutate(
            { id, wait: false },
            {
              onSuccess: (session) =>
                void navigate({ to: '/sessions', search: { open: session.id } }),
              onError: toast.failed,
            },
          )
        }
        data-testid={ids.history.relaunch(name)}
      >
        {t('history.relaunch')}
      </Button>
      <IconButton
        label={t('history.edit')}
        icon={<SlidersHorizontal size={14} />}
        size="small"
        onClick={() => void navigate({ to: '/launch', search: { from: id } })}
        testId={ids.history.edit(name)}
      />
      <IconButton
        label={launch.pinned ? t('history.unpin') : t('history.pin')}
        icon={launch.pinned ? <PinOff size={14} /> : <Pin size={14} />}
        size="small"
        onClick={() => pin.mutate({ id }, { onError: toast.failed })}
        testId={ids.history.pin(name)}
      />
      <IconButton
        label={t('action.rename')}
        icon={<Pencil size={14} />}
        size="small"
        onClick={() => setRenaming(true)}
      />
      <IconButton
        label={t('action.remove')}
        icon={<X size={14} />}
        size="small"
        onClick={() => remove.mutate({ id }, { onError: toast.failed })}
      />
      {renaming && <TitleDialog launch={launch} onClose={() => setRenaming(false)} />}
    </>
  );
}

function TitleDialog({ launch, onClose }: { launch: Launch; onClose: () => void }) {
  const { t } = useTranslation();
  const toast = useToast();
  const rename = useAction('history.rename');
  const [title, setTitle] = useState(launch.title ?? '');
  const submit = () =>
    rename.mutate(
      { id: launch.id, title: title.trim() },
      { onSuccess: onClose, onError: toast.failed },
    );
  return (
    <Modal
      open
      title={t('history.title')}
      width={420}
      onCancel={onClose}
      onOk={submit}
      okButtonProps={{ loading: rename.isPending }}
    >
      <Input
        autoFocus
        value={title}
        placeholder={launch.name}
        maxLength={64}
        aria-label={t('history.title')}
        onChange={(event) => setTitle(event.target.value)}
        onPressEnter={(event) => {
          if (!event.nativeEvent.isComposing) submit();
        }}
      />
    </Modal>
  );
}
