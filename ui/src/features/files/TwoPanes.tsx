import { Button, Checkbox, Select } from 'antd';
import { ArrowLeft, ArrowRight } from 'lucide-react';
import { type RefObject, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Links, type Location, onFiles } from '@/bridge';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import { LINKS, useCopyOptions } from './copyOptions';
import { heldFiles } from './dragging';
import { Edits } from './Edits';
import { FilePane, type Side } from './FilePane';
import styles from './files.module.css';
import { TransferStrip } from './TransferStrip';
import { useDragOut } from './useDragOut';
import { useMoving } from './useMoving';
import { usePlaces } from './usePlaces';

interface Props {
  /** Under this name the panes are found again where they were. */
  keep: string;
  /** Where the right one begins; the left one begins at home. */
  right: Location | null;
}

interface Kept {
  local: Location | null;
  remote: Location | null;
}

const kept = new Map<string, Kept>();
/** Where the left pane was last, wherever that was. */
let lastLocal: Location | null = null;

const OTHER: Record<Side, Side> = { local: 'remote', remote: 'local' };
const NONE: ReadonlySet<string> = new Set();

/** Two directories side by side, each of this computer, a session or a data folder. */
export function TwoPanes({ keep, right }: Props) {
  const { t } = useTranslation();
  const places = usePlaces();
  const [where, setWhere] = useState<Kept>(
    () => kept.get(keep) ?? { local: lastLocal, remote: right },
  );
  const [chosen, setChosen] = useState({ local: NONE, remote: NONE });
  const [options, setOptions] = useCopyOptions();
  const [over, setOver] = useState<Side | null>(null);
  const grids: Record<Side, RefObject<HTMLDivElement | null>> = {
    local: useRef(null),
    remote: useRef(null),
  };
  const here = { local: where.local ?? places.home, remote: where.remote ?? places.home };
  const dragOut = useDragOut(options);
  const moving = useMoving(options, () => setChosen({ local: NONE, remote: NONE }));

  const go = (side: Side, location: Location) => {
    const next = { ...where, [side]: location };
    kept.set(keep, next);
    if (side === 'local' && location.kind === 'local') lastLocal = location;
    setWhere(next);
  };
  const send = (side: Side, how: 'copy' | 'move', names: Iterable<string>) => {
    const [from, to] = [here[side], here[OTHER[side]]];
    if (from && to && !places.isReadOnly(to)) moving[how]([...names], from, to);
  };

  const drop = useRef<(side: Side, paths: readonly string[]) => void>(() => undefined);
  drop.current = (side, paths) => {
    const to = here[side];
    const held = heldFiles();
    // Our own files have no paths that the shell could tell.
    if (paths.length === 0 && held && held.side !== side) send(held.side, 'copy', held.names);
    if (to && !places.isReadOnly(to)) moving.drop(paths, to);
  };
  useEffect(
    () =>
      onFiles(({ what, paths, x, y }) => {
        const under = document.elementFromPoint(x, y)?.closest<HTMLElement>('[data-pane]');
        const side = under?.dataset.pane as Side | undefined;
        setOver(what === 'over' ? (side ?? null) : null);
        if (what === 'drop' && side) drop.current(side, paths);
      }),
    [],
  );

  const pane = (side: Side) => {
    const location = here[side];
    if (!location) return null;
    return (
      <FilePane
        side={side}
        location={location}
        places={places}
        onGo={(next) => go(side, next)}
        selected={chosen[side]}
        onSelect={(names) => setChosen((now) => ({ ...now, [side]: names }))}
        onCopy={(names) => send(side, 'copy', names)}
        onMove={(names) => send(side, 'move', names)}
        onDragOut={(from, entries) => void dragOut(from, entries)}
        onDropNames={(names) => send(OTHER[side], 'copy', names)}
        onOther={() => grids[OTHER[side]].current?.focus()}
        gridRef={grids[side]}
        over={over === side}
      />
    );
  };

  if (places.failure && !here.local) return <ErrorState failure={places.failure} />;
  const readOnly = (side: Side) => {
    const location = here[side];
    return location !== null && places.isReadOnly(location);
  };
  return (
    <div className={styles.panes}>
      {pane('local')}
      <div className={styles.between}>
        <Button
          icon={<ArrowRight size={14} />}
          disabled={chosen.local.size === 0 || readOnly('remote')}
          onClick={() => send('local', 'copy', chosen.local)}
          data-testid={ids.files.upload}
        >
          {t('files.copy')}
        </Button>
        <Button
          icon={<ArrowLeft size={14} />}
          disabled={chosen.remote.size === 0 || readOnly('local')}
          onClick={() => send('remote', 'copy', chosen.remote)}
          data-testid={ids.files.download}
        >
          {t('files.copy')}
        </Button>
        <Checkbox
          checked={options.checksum}
          onChange={(event) => setOptions({ checksum: event.target.checked })}
        >
          {t('files.checksum')}
        </Checkbox>
        <Select<Links>
          size="small"
          aria-label={t('files.links.label')}
          title={t('files.links.label')}
          value={options.links}
          onChange={(links) => setOptions({ links })}
          options={LINKS.map((value) => ({ value, label: t(`files.links.${value}`) }))}
          popupMatchSelectWidth={false}
          data-testid={ids.files.links}
        />
      </div>
      {pane('remote')}
      <div className={styles.strip}>
        <Edits />
        {here.remote && here.local && <TransferStrip places={[here.local, here.remote]} />}
        <p className={styles.keys}>{t('files.keys')}</p>
      </div>
    </div>
  );
}
