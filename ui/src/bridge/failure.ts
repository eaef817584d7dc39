import type { Failure as Wire } from './generated/Failure';
import type { FailureCode } from './generated/FailureCode';

/** Codes of failures that never reached the Rust side. */
export type BridgeCode = 'bridge_closed' | 'bridge_failed' | 'bridge_unreachable';

/** What a refused call carries; `code` is a key under `failure.` in the catalogue. */
export type FailureBody = Omit<Wire, 'code'> & { code: FailureCode | BridgeCode };

export class Failure extends Error implements FailureBody {
  readonly code: FailureBody['code'];
  readonly hint: string | null;
  readonly details: unknown;
  readonly retryable: boolean;

  constructor(body: FailureBody) {
    super(body.message);
    this.name = 'Failure';
    this.code = body.code;
    this.hint = body.hint;
    this.details = body.details;
    this.retryable = body.retryable;
  }
}

function isBody(value: unknown): value is FailureBody {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { code?: unknown }).code === 'string' &&
    typeof (value as { message?: unknown }).message === 'string'
  );
}

/** Anything that was thrown, as a Failure: the shell's own errors are plain strings. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  if (isBody(thrown)) {
    return new Failure({
      code: thrown.code,
      message: thrown.message,
      hint: thrown.hint ?? null,
      details: thrown.details ?? null,
      retryable: thrown.retryable ?? false,
    });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Failure({
    code: 'bridge_failed',
    message,
    hint: null,
    details: null,
    retryable: true,
  });
}
