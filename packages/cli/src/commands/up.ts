import { isAbsolute, join } from 'node:path';
import { RoentgenClient } from '@roentgen/client';
import { integer, optionalText, readVariables } from '@roentgen/config';
import type { CommandContext } from '../session.js';
import { type DemoOptions, type DemoPhase, type DemoSummary, hasNoDataset, runDemo } from '../up/demo.js';
import { Installation, type SetupReport } from '../up/installation.js';
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
  const { workers, port } = options;
  // The token is shown as soon as it exists: whatever fails after that, it cannot be shown again.
  const onSetup = ({ adminToken }: SetupReport) => note(tokenLine(adminToken));
  const installation = await timer.time('start', () =>
    Installation.start({ environment, dataDirectory, workers, port, note, onSetup, signal }),
  );
  let summary: DemoSummary | null;
  try {
    const { url, setup } = installation;
    note(`API    ${url}\nData   ${dataDirectory}\n`);
    if (output.json) output.item({ ready: true, url, adminToken: setup.adminToken, dataDirectory }, '');
    const client = new RoentgenClient({ url, token: setup.sessionToken });
    summary = await demoOf(client, { output, signal, environment, dataDirectory, timer }, options);
    if (options.exitAfterDemo !== true) {
      note('Ready; Ctrl-C stops everything');
      await untilAborted(signal);
    }
  } finally {
    note('Stopping');
    await installation.close();
  }
  if (options.exitAfterDemo === true) output.item(summary, JSON.stringify(summary));
}

const tokenLine = (adminToken: string | null): string =>
  adminToken === null
    ? '\nToken  the one that was shown at the first start'
    : `\nToken  ${adminToken}  (admin; shown this once, only its hash is kept)`;

/** The demo, where it is asked for or where there is nothing yet. One that nobody asked for may fail without ending the rest. */
async function demoOf(client: RoentgenClient, demo: DemoOptions, options: UpOptions): Promise<DemoSummary | null> {
  if (options.exitAfterDemo === true) return runDemo(client, demo);
  if (!options.demo || !(await hasNoDataset(client))) return null;
  try {
    return await runDemo(client, demo);
  } catch (error) {
    demo.signal.throwIfAborted();
    demo.output.note(`The demo failed: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

/** Ctrl-C is how a person ends `up`, so it is no failure. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    // An abort listener alone does not keep the process alive; the children's pipes do while they live.
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
