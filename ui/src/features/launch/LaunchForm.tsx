import { Form } from 'antd';
import { useMemo } from 'react';
import type { Folder, Image, Session } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { hasEnded, useLiveSessions } from '@/bridge/sessions';
import { failureText } from '@/i18n/failure';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import { BasicsSection } from './BasicsSection';
import { BatchSection } from './BatchSection';
import { type Draft, keepDraft, requestOf } from './draft';
import { EnvironmentsSection } from './EnvironmentsSection';
import { FoldersSection } from './FoldersSection';
import styles from './launch.module.css';
import { PortsSection } from './PortsSection';
import { ResourcesSection } from './ResourcesSection';
import { Review } from './Review';
import { VariablesSection } from './VariablesSection';

interface Props {
  initial: Draft;
  images: readonly Image[];
  folders: readonly Folder[];
  onLaunched: (session: Session) => void;
}

export function LaunchForm({ initial, images, folders, onLaunched }: Props) {
  const [form] = Form.useForm<Draft>();
  const launch = useAction('session.launch');
  const start = useMemo<Draft>(
    () => ({
      ...initial,
      image:
        images.find(({ name }) => name === initial.image)?.name ??
        images.find(({ installed }) => installed)?.name ??
        images[0]?.name,
    }),
    [initial, images],
  );
  const draft: Draft = { ...start, ...Form.useWatch([], { form, preserve: true }) };
  const limits = useCall('resource.limits', { resource_group: draft.resource_group ?? null });
  const sessions = useLiveSessions().data?.sessions;
  const taken = useMemo(
    () => new Set((sessions ?? []).filter((session) => !hasEnded(session)).map(({ name }) => name)),
    [sessions],
  );
  const image = images.find(({ name }) => name === draft.image);

  const submit = () => {
    if (launch.isPending) return;
    launch.mutate(requestOf({ ...start, ...form.getFieldsValue(true) }), {
      onSuccess: onLaunched,
      onError: (failure) => {
        if (failure.code === 'session_name_taken') {
          form.setFields([{ name: 'name', errors: [failureText(failure)] }]);
          form.scrollToField('name');
        }
      },
    });
  };

  return (
    <Form<Draft>
      form={form}
      layout="vertical"
      className={styles.form ?? ''}
      initialValues={start}
      onValuesChange={() => keepDraft({ ...start, ...form.getFieldsValue(true) })}
      onFinish={submit}
      scrollToFirstError={{ focus: true }}
      data-testid={ids.launch.form}
      onKeyDown={(event) => {
        // A half-composed syllable is no reason to launch.
        if (event.key === 'Enter' && event.nativeEvent.isComposing) event.preventDefault();
      }}
    >
      <div className={styles.fields}>
        <BasicsSection images={images} taken={taken} />
        {draft.type === 'batch' && <BatchSection />}
        <ResourcesSection form={form} draft={draft} image={image} limits={limits} />
        <FoldersSection form={form} draft={draft} folders={folders} />
        <EnvironmentsSection chosen={draft.environments} />
        <VariablesSection draft={draft} />
        {draft.type === 'interactive' && <PortsSection image={image} />}
      </div>
      <aside className={styles.review}>
        {launch.error && <ErrorState failure={launch.error} testId={ids.launch.failure} />}
        <Review draft={draft} image={image} limits={limits.data} busy={launch.isPending} />
      </aside>
    </Form>
  );
}
