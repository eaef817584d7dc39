import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { ArrowLeft, Play } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Folder } from '@/bridge';
import { TwoPanes } from '@/features/files/TwoPanes';
import { IconButton, Page } from '@/kit';
import { ids } from '@/testids';

interface Props {
  name: string;
  folder: Folder | undefined;
  onBack: () => void;
}

/** The files of a data folder beside those of this computer; no session is needed. */
export function FolderBrowser({ name, folder, onBack }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  return (
    <Page
      fill
      title={name}
      subtitle={folder && t(`folders.permission.${folder.permission}`)}
      testId={ids.folders.browser}
      actions={
        <>
          <Button
            icon={<Play size={14} />}
            onClick={() => void navigate({ to: '/launch', search: { folder: name } })}
          >
            {t('folders.launch')}
          </Button>
          <IconButton
            label={t('folders.back')}
            icon={<ArrowLeft size={16} />}
            type="default"
            onClick={onBack}
          />
        </>
      }
    >
      <TwoPanes keep={`folder:${name}`} right={{ kind: 'folder', folder: name, path: '' }} />
    </Page>
  );
}
