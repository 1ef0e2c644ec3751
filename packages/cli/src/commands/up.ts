import { isAbsolute, join } from 'node:path';
import { RoentgenClient } from '@roentgen/client';
import { integer, optionalText, readVariables } from '@roentgen/config';
import type { CommandContext } from '../session.js';
import { type DemoPhase, hasNoDataset, runDemo } from '../up/demo.js';
import { Installation } from '../up/installation.js';
import { PhaseTimer } from '../up/seconds.js';

const UP_VARIABLES = {
  ROENTGEN_DATA_DIR: optionalText('folder for everything that must survive', '.roentgen'),
  ROENTGEN_SETUP_MS: integer('time that the set-up before this took, for the summary', 0, { min: 0, max: Number.MAX_SAFE_INTEGER }),
} as const;

export interface UpOptions {
  readonly workers: number;
  readonly port: number;
  readonly demo: boolean;
  readonly exitAfterDemo?: boolean;
}

/** `roentgen up`: runs until it is interrupted, or until the demo is done where that is asked for. */
export async function upCommand(context: CommandContext, options: UpOptions): Promise<void> {
  const { output, signal, environment } = context;
  const variables = readVariables(UP_VARIABLES, environment);
  const folder = variables.ROENTGEN_DATA_DIR;
  const dataDirectory = isAbsolute(folder) ? folder : join(process.cwd(), folder);
  const timer = new PhaseTimer<DemoPhase>();
  timer.add('setup', variables.ROENTGEN_SETUP_MS / 1000);
  const note = (text: string) => output.note(text);
  note('Starting Postgres, NATS, the object store, gateway, coordinator and worker');
  const installation = await timer.time('start', () =>
    Installation.start({ environment, dataDirectory, workers: options.workers, port: options.port, note, signal }),
  );
  try {
    announce(context, installation, dataDirectory);
    const client = new RoentgenClient({ url: installation.url, token: installation.setup.sessionToken });
    const exits = options.exitAfterDemo === true;
    if (exits || (options.demo && (await hasNoDataset(client)))) {
      const summary = await runDemo(client, { output, signal, environment, dataDirectory, timer });
      if (exits) return output.item(summary, JSON.stringify(summary));
    }
    note('Ready; Ctrl-C stops everything');
    await untilAborted(signal);
  } finally {
    note('Stopping');
    await installation.close();
  }
}

function announce({ output }: CommandContext, installation: Installation, dataDirectory: string): void {
  output.note(`\nAPI    ${installation.url}`);
  const { adminToken } = installation.setup;
  output.note(
    adminToken === null
      ? 'Token  the one that was shown at the first start'
      : `Token  ${adminToken}  (admin; shown this once, only its hash is kept)`,
  );
  output.note(`Data   ${dataDirectory}\n`);
}

/** Ctrl-C is how a person ends `up`, so it is no failure. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    // An abort listener alone does not keep the process alive; the children's pipes do while they live.
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
