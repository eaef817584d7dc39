import { Button, Checkbox } from 'antd';
import { ArrowLeft, ArrowRight } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { FileEntry, Location } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import { FilePane } from './FilePane';
import styles from './files.module.css';
import { child } from './paths';
import { TransferStrip } from './TransferStrip';

interface Props {
  remote: Location;
  remoteName: string;
  /** Where the remote side begins. */
  home: string;
  onRemote: (location: Location) => void;
  /** The remote side can't be written to. */
  readOnly?: boolean;
}

let keptLocal: Location | null = null;

/** This computer on the left, a session or a data folder on the right, and what moves between. */
export function TwoPanes({ remote, remoteName, home, onRemote, readOnly = false }: Props) {
  const { t } = useTranslation();
  const places = useCall('file.places', {});
  const [local, setLocalState] = useState<Location | null>(keptLocal);
  const [chosen, setChosen] = useState<{ local: Names; remote: Names }>({
    local: NONE,
    remote: NONE,
  });
  const [checksum, setChecksum] = useState(false);
  const start = useAction('transfer.start');
  const here = local ?? places.data?.places[0]?.location ?? null;

  const setLocal = (location: Location) => {
    keptLocal = location;
    setLocalState(location);
  };

  const move = (names: Iterable<string>, from: Location, to: Location) => {
    const items = [...names].map((name) => ({ src: child(from, name), dst: child(to, name) }));
    if (items.length > 0) start.mutate({ items, overwrite: 'ask', checksum });
  };
  const upload = (names: Iterable<string>) => {
    if (here && !readOnly) move(names, here, remote);
  };
  const download = (names: Iterable<string>) => {
    if (here) move(names, remote, here);
  };

  if (places.error && !here) return <ErrorState failure={places.error} />;
  return (
    <div className={styles.panes}>
      {here && (
        <FilePane
          side="local"
          title={t('files.this_computer')}
          location={here}
          places={places.data?.places ?? []}
          onGo={setLocal}
          selected={chosen.local}
          onSelect={(names) => setChosen((now) => ({ ...now, local: names }))}
          onDropNames={(names) => download(names)}
          onSend={(entry: FileEntry) => upload([entry.name])}
        />
      )}
      <div className={styles.between}>
        <Button
          icon={<ArrowRight size={14} />}
          disabled={chosen.local.size === 0 || readOnly}
          onClick={() => upload(chosen.local)}
          data-testid={ids.files.upload}
        >
          {t('files.upload')}
        </Button>
        <Button
          icon={<ArrowLeft size={14} />}
          disabled={chosen.remote.size === 0}
          onClick={() => download(chosen.remote)}
          data-testid={ids.files.download}
        >
          {t('files.download')}
        </Button>
        <Checkbox checked={checksum} onChange={(event) => setChecksum(event.target.checked)}>
          {t('files.checksum')}
        </Checkbox>
      </div>
      <FilePane
        side="remote"
        title={remoteName}
        location={remote}
        places={[{ name: 'top', location: { ...remote, path: home } }]}
        onGo={onRemote}
        selected={chosen.remote}
        onSelect={(names) => setChosen((now) => ({ ...now, remote: names }))}
        onDropNames={(names) => upload(names)}
        onSend={(entry: FileEntry) => download([entry.name])}
        readOnly={readOnly}
      />
      <div className={styles.strip}>
        {start.error && <ErrorState failure={start.error} onClose={start.reset} />}
        <TransferStrip remote={remote} />
      </div>
    </div>
  );
}

type Names = ReadonlySet<string>;
const NONE: Names = new Set();
