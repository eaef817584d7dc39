import { Link } from '@tanstack/react-router';
import {
  CircleCheck,
  FolderPlus,
  KeyRound,
  type LucideIcon,
  Play,
  SquareTerminal,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { useCall } from '@/bridge/query';
import { Section } from '@/kit';
import { ids } from '@/testids';
import styles from './start.module.css';

/** The way through the main job, with what is done already. */
export function NextSteps({ sessions }: { sessions: readonly Session[] | undefined }) {
  const { t } = useTranslation();
  const folders = useCall('folder.list', {}).data?.folders;
  const ssh = useCall('ssh.config_status', {}).data;
  const running = sessions?.find((session) => session.actions.open_app.allowed);
  return (
    <Section title={t('start.next')}>
      <ul className={styles.steps}>
        <li>
          <Link to="/launch">
            <Step icon={Play} step="launch" done={(sessions?.length ?? 0) > 0} />
          </Link>
        </li>
        <li>
          <Link to="/folders" data-testid={ids.start.folders}>
            <Step icon={FolderPlus} step="folder" done={(folders?.length ?? 0) > 0} />
          </Link>
        </li>
        {running && (
          <li>
            <Link to="/sessions" search={{ open: running.id, tab: 'terminal' }}>
              <Step icon={SquareTerminal} step="terminal" done={false} />
            </Link>
          </li>
        )}
        <li>
          <Link to="/settings">
            <Step icon={KeyRound} step="ssh" done={ssh?.installed ?? false} />
          </Link>
        </li>
      </ul>
      <p className="muted">{t('start.keys')}</p>
    </Section>
  );
}

interface StepProps {
  icon: LucideIcon;
  step: 'launch' | 'folder' | 'terminal' | 'ssh';
  done: boolean;
}

function Step({ icon: Icon, step, done }: StepProps) {
  const { t } = useTranslation();
  return (
    <span className={styles.step} data-done={done}>
      {done ? (
        <CircleCheck size={17} aria-label={t('start.done')} />
      ) : (
        <Icon size={17} aria-hidden />
      )}
      <span>
        <strong>{t(`start.step.${step}`)}</strong>
        <small className="muted">{t(`start.step.${step}_text`)}</small>
      </span>
    </span>
  );
}
