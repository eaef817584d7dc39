import { Input, type InputRef } from 'antd';
import { Search } from 'lucide-react';
import { useEffect, useRef } from 'react';

interface Props {
  value: string;
  onChange: (value: string) => void;
  placeholder: string;
  testId?: string;
  width?: number;
}

/** A filter field; Ctrl-F goes to the one on the page, Esc empties it. */
export function SearchField({ value, onChange, placeholder, testId, width = 240 }: Props) {
  const input = useRef<InputRef>(null);

  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.code === 'KeyF' && !event.shiftKey) {
        event.preventDefault();
        input.current?.focus({ cursor: 'all' });
      }
    };
    window.addEventListener('keydown', focus);
    return () => window.removeEventListener('keydown', focus);
  }, []);

  return (
    <Input
      ref={input}
      allowClear
      value={value}
      onChange={(event) => onChange(event.target.value)}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || value === '') return;
        event.stopPropagation();
        onChange('');
      }}
      prefix={<Search size={14} aria-hidden />}
      placeholder={placeholder}
      aria-label={placeholder}
      style={{ width }}
      data-testid={testId}
    />
  );
}
