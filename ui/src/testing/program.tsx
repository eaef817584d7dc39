// What component tests stand on: the real providers over a transport that answers from a table.
import { QueryClientProvider } from '@tanstack/react-query';
import { render } from '@testing-library/react';
import { App } from 'antd';
import type { ReactNode } from 'react';
import { type CommandName, Failure, type Request, type Response, setTransport } from '@/bridge';
import { queryClient } from '@/bridge/query';
import type { Transport } from '@/bridge/transport';
import { startI18n } from '@/i18n';

type Answers = {
  [N in CommandName]?: (payload: Request<N>) => Response<N> | Failure;
};

export interface Call {
  name: CommandName;
  payload: unknown;
}

export const failure = (code: Failure['code']) =>
  new Failure({ code, message: code, hint: null, details: null, retryable: false });

let last: Transport | null = null;

/** The transport that was put in place last, to be changed in part. */
export function lastTransport(): Transport {
  if (!last) throw new Error('nothing answers yet');
  return last;
}

/** Puts a transport in place that answers from the table; gives the calls it has seen. */
export function answerWith(answers: Answers): Call[] {
  const calls: Call[] = [];
  const transport: Transport = {
    kind: 'http',
    async call(name, payload) {
      calls.push({ name, payload });
      const answer = answers[name];
      if (!answer) throw failure('unknown_command');
      const given = answer(payload);
      if (given instanceof Failure) throw given;
      return given;
    },
    stream: () => () => undefined,
    onPlace: () => () => undefined,
    onLeave: () => () => undefined,
    onFiles: () => () => undefined,
  };
  last = transport;
  setTransport(transport);
  return calls;
}

export async function show(node: ReactNode) {
  queryClient.clear();
  await startI18n();
  return render(
    <QueryClientProvider client={queryClient}>
      <App>{node}</App>
    </QueryClientProvider>,
  );
}
