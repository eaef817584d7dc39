import { Progress as Bar, Button, InputNumber } from 'antd';
import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { useSettings } from '@/features/settings/useSettings';
import { ids } from '@/testids';
import styles from './session.module.css';
import type { Progress } from './useLaunch';

/** The limit of apps for which no other was chosen, in seconds. */
const USUAL_LIMIT = 60;
const LONGEST_LIMIT = 3_600;
/** An app that is there at once needs no words. */
const SOON_MS = 800;

interface Props {
  app: string;
  progress: Progress;
  onStop: () => void;
}

/** An app on its way: what it waits for, for how long, and what it prints. */
export function StartProgress({ app, progress, onStop }: Props) {
  const { t } = useTranslation();
  const { stage, elapsed_ms, limit_ms } = progress;
  if (elapsed_ms < SOON_MS) return null;
  const seconds = (ms: number) => Math.round(ms / 1000);
  return (
    <div className={styles.starting} data-testid={ids.drawer.appStage(app)} data-stage={stage}>
      <p role="status">
        {t(`apps.stage.${stage}`)}{' '}
        <span className="muted">
          {t('apps.elapsed', { elapsed: seconds(elapsed_ms), limit: seconds(limit_ms) })}
        </span>
      </p>
      <Bar percent={(100 * elapsed_ms) / limit_ms} showInfo={false} size="small" />
      <AppLines app={app} lines={progress.lines} />
      <div className={styles.startActions}>
        <StartLimit app={app} />
        <Button size="small" onClick={onStop} data-testid={ids.drawer.appStop(app)}>
          {t('apps.stop')}
        </Button>
      </div>
    </div>
  );
}

/** What an app printed last, the newest line in sight. */
export function AppLines({ app, lines }: { app: string; lines: readonly string[] }) {
  const box = useRef<HTMLPreElement>(null);
  const newest = lines.at(-1);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another line is why it scrolls
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [newest, lines.length]);
  if (lines.length === 0) return null;
  return (
    <pre ref={box} className={styles.startLines} data-testid={ids.drawer.appLines(app)}>
      {lines.join('\n')}
    </pre>
  );
}

/** How long an app may take to start, the next time. */
export function StartLimit({ app }: { app: string }) {
  const { t } = useTranslation();
  const { settings, set } = useSettings();
  if (!settings) return null;
  const limits = settings.start_limits;
  const choose = (seconds: number | null) => {
    const { [app]: _, ...others } = limits;
    set({ start_limits: seconds === null ? others : { ...others, [app]: seconds } });
  };
  return (
    <InputNumber
      size="small"
      className={styles.startLimit ?? ''}
      min={1}
      max={LONGEST_LIMIT}
      precision={0}
      changeOnBlur
      defaultValue={limits[app] ?? USUAL_LIMIT}
      onChange={choose}
      prefix={t('apps.limit')}
      suffix={t('apps.seconds')}
      aria-label={t('apps.limit')}
      data-testid={ids.drawer.appLimit(app)}
    />
  );
}
