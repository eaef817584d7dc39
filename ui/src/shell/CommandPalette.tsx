import { useNavigate } from '@tanstack/react-router';
import { Modal } from 'antd';
import { CornerDownLeft } from 'lucide-react';
import { type KeyboardEvent, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ids } from '@/testids';
import { usePaletteItems } from './paletteItems';
import styles from './shell.module.css';

const SHOWN = 50;

interface Props {
  onClose: () => void;
  onHelp: () => void;
}

/** Every page, action, session, folder and launch by a few letters of its name. */
export function CommandPalette({ onClose, onHelp }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [query, setQuery] = useState('');
  const [active, setActive] = useState(0);
  const items = usePaletteItems(navigate, onHelp);

  const found = useMemo(() => {
    const words = query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    return items
      .filter(({ text }) => {
        const lower = text.toLocaleLowerCase();
        return words.every((word) => lower.includes(word));
      })
      .slice(0, SHOWN);
  }, [items, query]);

  const run = (index: number) => {
    const item = found[index];
    if (!item) return;
    onClose();
    item.run();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setActive((now) => Math.max(0, Math.min(found.length - 1, now + step)));
    } else if (event.key === 'Enter') {
      event.preventDefault();
      run(active);
    }
  };

  return (
    <Modal
      open
      onCancel={onClose}
      footer={null}
      closable={false}
      width={560}
      style={{ top: 90 }}
      styles={{ container: { padding: 0 } }}
    >
      <div className={styles.palette} data-testid={ids.palette.dialog}>
        <input
          // biome-ignore lint/a11y/noAutofocus: a palette is opened to be typed into
          autoFocus
          role="combobox"
          aria-expanded
          aria-controls="palette-items"
          aria-activedescendant={found[active] ? `palette-${active}` : undefined}
          aria-label={t('palette.open')}
          placeholder={t('palette.placeholder')}
          value={query}
          onChange={(event) => {
            setQuery(event.target.value);
            setActive(0);
          }}
          onKeyDown={onKeyDown}
          data-testid={ids.palette.input}
        />
        <div id="palette-items" role="listbox" className={styles.paletteItems}>
          {found.map((item, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the keys
            // biome-ignore lint/a11y/useFocusableInteractive: the field above has the focus
            <div
              key={item.key}
              id={`palette-${index}`}
              role="option"
              aria-selected={index === active}
              className={styles.paletteItem}
              ref={(node) => {
                if (index === active) node?.scrollIntoView({ block: 'nearest' });
              }}
              onMouseMove={() => setActive(index)}
              onClick={() => run(index)}
            >
              <item.icon size={15} aria-hidden />
              <span className="truncate">{item.text}</span>
              <span className="muted">{item.kind}</span>
              {index === active && <CornerDownLeft size={13} aria-hidden />}
            </div>
          ))}
          {found.length === 0 && <p className="muted">{t('palette.nothing')}</p>}
        </div>
      </div>
    </Modal>
  );
}
