import { Button, type ButtonProps } from 'antd';
import { Check, Copy } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { copyText } from './copyText';
import { IconButton } from './IconButton';

interface Props {
  text: string;
  /** With a label the button shows it; without one it is an icon with a tooltip. */
  label?: string;
  size?: ButtonProps['size'];
  testId?: string;
}

const SHOWN_MS = 1_500;

export function CopyButton({ text, label, size = 'small', testId }: Props) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);

  useEffect(() => {
    if (!copied) return;
    const timer = window.setTimeout(() => setCopied(false), SHOWN_MS);
    return () => window.clearTimeout(timer);
  }, [copied]);

  const copy = () => {
    void copyText(text).then(setCopied);
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
