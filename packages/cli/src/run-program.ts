import { type Command, Option } from 'commander';
import { runsCommand, workersCommand } from './commands/lists.js';
import {
  cancelCommand,
  forkCommand,
  type ForkOptions,
  pauseCommand,
  resumeCommand,
  showRunCommand,
  type StopOptions,
} from './commands/runs.js';
import {
  AUGMENTATIONS,
  BATCH_NORMS,
  OPTIMIZERS,
  PRECISIONS,
  SCHEDULES,
  trainCommand,
  type TrainOptions,
  watchCommand,
} from './commands/train.js';
import { drainCommand, readmitCommand } from './commands/workers.js';
import { limit, positiveNumber, rangeNumber, wholeNumber } from './options.js';
import type { CommandContext } from './session.js';

const MAX_INT = 2_147_483_647;
const count = wholeNumber({ min: 1, max: MAX_INT });

/** `train`, `watch`, `cancel`, and `runs` with what can be done to one. */
export function addRunCommands(program: Command, context: () => CommandContext): void {
  const train = program
    .command('train')
    .description('start a training run; flags that are left out take the default of the server')
    .requiredOption('--dataset <name|dsv_…>', 'dataset (its newest version) or dataset version')
    .option('--name <name>', 'name of the run')
    .option('--variant <b0…b7|lite0>', 'EfficientNet variant')
    .option('--weights <name|wts_…>', 'weight set to start from; random weights without it');
  addRecipeOptions(train)
    .option('--watch', 'follow the run until it ends')
    .action((options: TrainOptions) => trainCommand(context(), options));
  program
    .command('watch')
    .description('follow a training run until it ends')
    .argument('<run>', 'run_…')
    .option('--after <sequence>', 'leave out the events up to this one', wholeNumber({ min: 0, max: MAX_INT }), 0)
    .action((run: string, options) => watchCommand(context(), run, options));
  addStop(program.command('cancel').description('the same as runs cancel'), 'ended').action((run: string, options: StopOptions) =>
    cancelCommand(context(), run, options),
  );
  const runs = program
    .command('runs')
    .description('list training runs, newest first; with a command, do something to one')
    .addOption(limit())
    .action((options) => runsCommand(context(), options));
  addRunActions(runs, context);
}

/** All of them can be repeated: asking twice is asking once. */
function addRunActions(runs: Command, context: () => CommandContext): void {
  runs
    .command('show')
    .description('one run: where it stands, why it waits, its attempts and checkpoints')
    .argument('<run>', 'run_…')
    .action((run: string) => showRunCommand(context(), run));
  addStop(runs.command('pause').description('save a checkpoint after the current step and free the worker'), 'paused').action(
    (run: string, options: StopOptions) => pauseCommand(context(), run, options),
  );
  runs
    .command('resume')
    .description('queue a paused run again; it goes on from its last checkpoint')
    .argument('<run>', 'run_…')
    .option('--watch', 'follow the run until it ends')
    .action((run: string, options: { watch?: boolean }) => resumeCommand(context(), run, options));
  addStop(runs.command('cancel').description('end a run after its current step'), 'ended').action((run: string, options: StopOptions) =>
    cancelCommand(context(), run, options),
  );
  const fork = runs
    .command('fork')
    .description('a new run that goes on from a checkpoint; flags that are left out stay as they were')
    .argument('<run|checkpoint>', 'run_…, or ckp_… (runs show lists them)')
    .addOption(new Option('--checkpoint <which>', 'of a run: lowest validation loss, or newest (default)').choices(['best', 'last']))
    .option('--name <name>', 'name of the new run');
  addRecipeOptions(fork)
    .option('--no-clip-norm', 'do not scale gradients down any more')
    .option('--no-ema-decay', 'make the model of the weights themselves')
    .option('--no-layer-decay', 'let all layers learn alike')
    .option('--watch', 'follow the run until it ends')
    .action((from: string, options: ForkOptions) => forkCommand(context(), from, options));
}

const addStop = (command: Command, end: string): Command =>
  command
    .argument('<run>', 'run_…')
    .option('--force', 'do not wait for the worker; what came after the last checkpoint is lost')
    .option('--watch', `follow the run until it is ${end}`);

/** Flags for what training and forking have in common. */
function addRecipeOptions(command: Command): Command {
  return command
    .option('--epochs <n>', 'passes over the train split', count)
    .option('--batch-size <n>', 'images per step', count)
    .option('--micro-batch-size <n>', 'images per call of the compiled step; a new run has as many as fit into the workers', count)
    .option('--image-size <px>', 'side of the images that the network sees; a new run has what the variant was designed for', count)
    .option('--learning-rate <x>', 'largest learning rate', positiveNumber)
    .addOption(new Option('--schedule <kind>', 'course of the learning rate after the warm-up').choices(Object.keys(SCHEDULES)))
    .option('--warmup-steps <n>', 'steps over which the learning rate rises', wholeNumber({ min: 0, max: MAX_INT }))
    .addOption(new Option('--optimizer <kind>', 'how weights are updated').choices(Object.keys(OPTIMIZERS)))
    .option('--weight-decay <x>', 'decoupled weight decay; with --optimizer adamw', positiveNumber)
    .option('--clip-norm <x>', 'longest norm of the gradient; a longer one is scaled down', positiveNumber)
    .option('--ema-decay <x>', 'decay of the moving average of the weights that the model is made of', positiveNumber)
    .option('--layer-decay <x>', 'share of the next block’s learning rate that each block learns with', positiveNumber)
    .option('--dropout-rate <x>', 'dropout before the classifier', rangeNumber)
    .option('--label-smoothing <x>', 'share of each label that goes to the other classes', rangeNumber)
    .addOption(new Option('--batch-norm <mode>', 'statistics of each micro-batch, or the running ones').choices(Object.keys(BATCH_NORMS)))
    .addOption(new Option('--augmentation <preset>', 'random changes of the training images').choices(Object.keys(AUGMENTATIONS)))
    .option('--rotation-degrees <x>', 'turn them by up to ± this', rangeNumber)
    .option('--horizontal-flip <p>', 'mirror them with this chance', rangeNumber)
    .option('--shift-fraction <x>', 'move them by up to ± this share of the side', rangeNumber)
    .option('--scale-fraction <x>', 'magnify them by a factor within 1 ± this', rangeNumber)
    .option('--brightness <x>', 'brighten or darken them by up to this share of the range', rangeNumber)
    .option('--contrast <x>', 'change their contrast by a factor within 1 ± this', rangeNumber)
    .option('--seed <n>', 'seed of weights, order, augmentation and dropout', wholeNumber({ min: 0, max: MAX_INT }))
    .addOption(new Option('--precision <format>', 'number format of convolutions and activations').choices(Object.keys(PRECISIONS)))
    .option('--recompute', 'compute activations again on the way back: less memory, more time, the same gradients');
}

/** `workers`, with what operators do to one. */
export function addPoolCommands(program: Command, context: () => CommandContext): void {
  const workers = program
    .command('workers')
    .description('list workers; with a command, do something to one')
    .option('--watch', 'follow what changes, until Ctrl-C')
    .action((options: { watch?: boolean }) => workersCommand(context(), options));
  workers
    .command('drain')
    .description('give a worker nothing more; what it trains goes on elsewhere, from a checkpoint that it saves first')
    .argument('<worker>', 'wkr_…, or its name')
    .option('--watch', 'wait until it holds nothing more')
    // Commander gives a flag that the group has too to the group.
    .action((worker: string, _options, command: Command) =>
      drainCommand(context(), worker, command.optsWithGlobals<{ watch?: boolean }>()),
    );
  workers
    .command('readmit')
    .description('give work again to a worker that was drained or set aside')
    .argument('<worker>', 'wkr_…, or its name')
    .action((worker: string) => readmitCommand(context(), worker));
}
