import { Button, type ButtonProps, Tooltip } from 'antd';
import type { ReactNode } from 'react';

interface Props extends Omit<ButtonProps, 'children' | 'icon' | 'title' | 'aria-label'> {
  /** The name, for the tooltip and for who can't see the icon. */
  label: string;
  icon: ReactNode;
  testId?: string | undefined;
}

export function IconButton({ label, icon, testId, type = 'text', ...rest }: Props) {
  return (
    <Tooltip title={label} mouseEnterDelay={0.4}>
      <Button {...rest} type={type} icon={icon} aria-label={label} data-testid={testId} />
    </Tooltip>
  );
}
