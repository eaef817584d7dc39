import type { SearchAddon } from '@xterm/addon-search';
import { Input } from 'antd';
import { ArrowDown, ArrowUp, X } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from '@/kit';
import { ids } from '@/testids';
import styles from './terminal.module.css';

interface Props {
  search: SearchAddon;
  onClose: () => void;
}

const MARKS = {
  matchBackground: '#8f6b1a',
  matchOverviewRuler: '#d6a24a',
  activeMatchBackground: '#c2571a',
  activeMatchColorOverviewRuler: '#e5807a',
};

/** Finds text on the screen and in what has scrolled away. */
export function TerminalSearch({ search, onClose }: Props) {
  const { t } = useTranslation();
  const [text, setText] = useState('');
  const [found, setFound] = useState<{ index: number; count: number } | null>(null);

  useEffect(() => {
    const results = search.onDidChangeResults(({ resultIndex, resultCount }) =>
      setFound({ index: resultIndex, count: resultCount }),
    );
    return () => {
      results.dispose();
      search.clearDecorations();
    };
  }, [search]);

  const find = (wanted: string, back: boolean, incremental = false) => {
    if (wanted === '') {
      search.clearDecorations();
      setFound(null);
    } else if (back) search.findPrevious(wanted, { decorations: MARKS });
    else search.findNext(wanted, { decorations: MARKS, incremental });
  };

  return (
    <div className={styles.find}>
      <Input
        autoFocus
        size="small"
        value={text}
        spellCheck={false}
        placeholder={t('terminal.search')}
        aria-label={t('terminal.search')}
        onChange={(event) => {
          setText(event.target.value);
          find(event.target.value, false, true);
        }}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return;
          if (event.key === 'Enter') find(text, event.shiftKey);
          if (event.key !== 'Escape') return;
          event.stopPropagation();
          onClose();
        }}
        data-testid={ids.terminal.searchField}
      />
      <small className="muted" data-testid={ids.terminal.searchCount}>
        {found && text !== '' ? `${found.index + 1}/${found.count}` : ''}
      </small>
      <IconButton
        label={t('terminal.previous')}
        icon={<ArrowUp size={13} />}
        size="small"
        onClick={() => find(text, true)}
      />
      <IconButton
        label={t('terminal.next')}
        icon={<ArrowDown size={13} />}
        size="small"
        onClick={() => find(text, false)}
      />
      <IconButton label={t('action.close')} icon={<X size={13} />} size="small" onClick={onClose} />
    </div>
  );
}
