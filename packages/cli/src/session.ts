import { RoentgenClient } from '@roentgen/client';
import { optionalText, readVariables } from '@roentgen/config';
import { UsageError } from './failure.js';
import type { Output, OutputOptions } from './output.js';

export const DEFAULT_URL = 'http://127.0.0.1:4400/graphql';

const CLIENT_VARIABLES = {
  ROENTGEN_URL: optionalText('address of the API', DEFAULT_URL),
  ROENTGEN_TOKEN: optionalText('API token', '', { secret: true }),
} as const;

/** What every command is given. */
export interface CommandContext {
  readonly output: Output;
  /** Aborted by Ctrl-C and by the end of the process. */
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: OutputOptions['stdout'];
  readonly stderr: OutputOptions['stderr'];
  /** `--url` and `--token`, which win over the environment. */
  readonly url: string | undefined;
  readonly token: string | undefined;
}

/** A client for the API that the flags or the environment name. @throws UsageError without a token or with an address that is none */
export function connect(context: CommandContext): RoentgenClient {
  const variables = readVariables(CLIENT_VARIABLES, context.environment);
  const url = context.url ?? variables.ROENTGEN_URL;
  const token = context.token ?? variables.ROENTGEN_TOKEN;
  if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : ''))
    throw new UsageError(`--url ${url}: expected an address like ${DEFAULT_URL}.`);
  if (token === '')
    throw new UsageError(
      'No API token: set ROENTGEN_TOKEN or --token. `roentgen up` shows one at its first start; `roentgen tokens create` makes more.',
    );
  return new RoentgenClient({ url, token });
}
