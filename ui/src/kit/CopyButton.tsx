import { Button, type ButtonProps } from 'antd';
import { Check, Copy } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { toFailure } from '@/bridge';
import { copyText } from './copyText';
import { IconButton } from './IconButton';
import { useToast } from './useToast';

interface Props {
  /** A function is asked anew each time, for what is good once. */
  text: string | (() => Promise<string>);
  /** With a label the button shows it; without one it is an icon with a tooltip. */
  label?: string;
  size?: ButtonProps['size'];
  testId?: string;
}

const SHOWN_MS = 1_500;

export function CopyButton({ text, label, size = 'small', testId }: Props) {
  const { t } = useTranslation();
  const toast = useToast();
  const [copied, setCopied] = useState(false);

  useEffect(() => {
    if (!copied) return;
    const timer = window.setTimeout(() => setCopied(false), SHOWN_MS);
    return () => window.clearTimeout(timer);
  }, [copied]);

  const copy = () => {
    const wanted = typeof text === 'string' ? Promise.resolve(text) : text();
    wanted.then(copyText).then(setCopied, (thrown: unknown) => toast.failed(toFailure(thrown)));
  };
  const Icon = copied ? Check : Copy;
  if (!label) {
    return (
      <IconButton
        label={copied ? t('action.copied') : t('action.copy')}
        icon={<Icon size={14} />}
        onClick={copy}
        size={size}
        testId={testId}
      />
    );
  }
  return (
    <Button size={size} icon={<Icon size={13} />} onClick={copy} data-testid={testId}>
      {copied ? t('action.copied') : label}
    </Button>
  );
}
