import { Input, Select } from 'antd';
import { ArrowUp } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Location, Place } from '@/bridge';
import { IconButton } from '@/kit';
import { ids } from '@/testids';
import styles from './files.module.css';
import { parentPath } from './paths';

interface Props {
  side: string;
  location: Location;
  places: readonly Place[];
  onGo: (path: string) => void;
  onPlace: (location: Location) => void;
}

/** Where the pane is; typed into, it goes elsewhere. */
export function PathBar({ side, location, places, onGo, onPlace }: Props) {
  const { t, i18n } = useTranslation();
  const [text, setText] = useState(location.path);
  useEffect(() => setText(location.path), [location.path]);
  const placeName = (name: string) => {
    const key = `files.place.${name}`;
    return i18n.exists(key) ? String(t(key as 'files.place.home')) : name;
  };
  return (
    <div className={styles.path}>
      <IconButton
        label={t('files.up')}
        icon={<ArrowUp size={14} />}
        onClick={() => onGo(parentPath(location.path))}
      />
      {places.length > 1 && (
        <Select
          value={null}
          placeholder={t('files.places')}
          aria-label={t('files.places')}
          popupMatchSelectWidth={180}
          style={{ width: 96 }}
          options={places.map((place) => ({ value: place.name, label: placeName(place.name) }))}
          onChange={(name: string) => {
            const place = places.find((one) => one.name === name);
            if (place) onPlace(place.location);
          }}
        />
      )}
      <Input
        className="mono"
        value={text}
        spellCheck={false}
        placeholder="/"
        aria-label={t('files.path')}
        onChange={(event) => setText(event.target.value)}
        onPressEnter={(event) => {
          if (!event.nativeEvent.isComposing) onGo(text.trim());
        }}
        onBlur={() => setText(location.path)}
        data-testid={ids.files.path(side)}
      />
    </div>
  );
}
