import {
  ApiError,
  ClientError,
  FailedError,
  type InputIssue,
  MutationError,
  UnexpectedResponseError,
  UnreachableError,
} from '@roentgen/client';
import { ConfigError } from '@roentgen/config';
import { CommanderError } from 'commander';
import { EXIT } from './exit-codes.js';

/** What the user gave cannot be used; nothing was changed. All problems at once. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  constructor(
    message: string,
    readonly issues: readonly InputIssue[] = [],
    readonly code = 'BAD_INPUT',
  ) {
    super(message);
  }
}

/** The user pressed Ctrl-C or ended the process. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

/** A program that was started has told itself what is wrong; only its exit code is left to pass on. */
export class ReportedError extends Error {
  override readonly name = 'ReportedError';
  constructor(readonly exitCode: number) {
    super(`It ended with exit code ${exitCode}.`);
  }
}

/** A failure as it is shown: `error` on stdout with --json, words on stderr otherwise. */
export interface Failure {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly issues: readonly InputIssue[];
  readonly requestId: string | null;
}

const BAD_INPUT_CODES = ['BAD_USER_INPUT', 'INVALID_INPUT', 'NOT_FOUND', 'GRAPHQL_VALIDATION_FAILED', 'INVALID_RECIPE', 'UNKNOWN_VARIANT'];

/** Decides the exit code and the words for whatever was thrown. */
export function failureOf(error: unknown): Failure {
  const base = { code: 'FAILED', message: error instanceof Error ? error.message : String(error), issues: [], requestId: null };
  if (error instanceof InterruptedError || isAbort(error))
    return { ...base, exitCode: EXIT.interrupted, code: 'INTERRUPTED', message: 'Interrupted.' };
  if (error instanceof UsageError) return { ...base, exitCode: EXIT.badInput, code: error.code, issues: error.issues };
  if (error instanceof CommanderError) return { ...base, exitCode: EXIT.badInput, code: 'BAD_USAGE', message: usageMessage(error) };
  if (error instanceof ConfigError) return { ...base, exitCode: EXIT.badInput, code: 'BAD_CONFIGURATION' };
  if (error instanceof MutationError) return { ...base, exitCode: EXIT.badInput, code: error.code, issues: error.inputErrors };
  if (error instanceof ApiError) {
    const exitCode = error.isRefusal ? EXIT.unreachable : BAD_INPUT_CODES.includes(error.code) ? EXIT.badInput : EXIT.failed;
    return { ...base, exitCode, code: error.code, requestId: error.requestId };
  }
  if (error instanceof UnreachableError || error instanceof UnexpectedResponseError)
    return { ...base, exitCode: EXIT.unreachable, code: error.code };
  if (error instanceof FailedError) return { ...base, exitCode: EXIT.runFailed, code: error.code };
  if (error instanceof ClientError) return { ...base, exitCode: EXIT.failed, code: error.code };
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : base.code;
  return { ...base, exitCode: EXIT.failed, code };
}

/** Called without a command, commander prints the help and throws this without words. */
function usageMessage(error: CommanderError): string {
  return error.code === 'commander.help' ? 'No command was given; the list of commands is above.' : error.message.replace(/^error: /, '');
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
