import { Input, type InputRef, Select } from 'antd';
import { ArrowUp, Star } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Location } from '@/bridge';
import { IconButton } from '@/kit';
import { ids } from '@/testids';
import styles from './files.module.css';
import { at } from './paths';
import type { usePlaces } from './usePlaces';

interface Props {
  side: string;
  location: Location;
  places: ReturnType<typeof usePlaces>;
  onGo: (location: Location) => void;
  onUp: () => void;
}

/** Where the pane is: another place is chosen, another path is typed. */
export function PathBar({ side, location, places, onGo, onUp }: Props) {
  const { t } = useTranslation();
  const [text, setText] = useState(location.path);
  const input = useRef<InputRef>(null);
  useEffect(() => setText(location.path), [location.path]);
  const all = places.groups.flatMap((group) => group.places);
  const marked = places.isBookmarked(location);
  const placesLabel = t('files.places');
  return (
    <div className={styles.path}>
      <IconButton label={t('files.up')} icon={<ArrowUp size={14} />} onClick={onUp} />
      <Select
        value={null}
        placeholder={placesLabel}
        aria-label={placesLabel}
        popupMatchSelectWidth={220}
        className={styles.places ?? ''}
        options={places.groups.map(({ title, places: some }) => ({
          label: title,
          title,
          options: some.map(({ key, label }) => ({ value: key, label })),
        }))}
        onChange={(key: string) => {
          const chosen = all.find((one) => one.key === key);
          if (chosen) onGo(chosen.location);
        }}
        data-testid={ids.files.places(side)}
      />
      <Input
        ref={input}
        className="mono"
        value={text}
        spellCheck={false}
        placeholder="/"
        aria-label={t('files.path')}
        onChange={(event) => setText(event.target.value)}
        onPressEnter={(event) => {
          if (!event.nativeEvent.isComposing) onGo(at(location, text.trim()));
        }}
        onBlur={() => setText(location.path)}
        data-testid={ids.files.path(side)}
      />
      <IconButton
        label={marked ? t('files.bookmark_remove') : t('files.bookmark_add')}
        icon={<Star size={14} fill={marked ? 'currentColor' : 'none'} />}
        aria-pressed={marked}
        onClick={() => places.toggleBookmark(location)}
        testId={ids.files.bookmark(side)}
      />
    </div>
  );
}
