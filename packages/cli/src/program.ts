import { Command, Option } from 'commander';
import { COMPRESSIONS } from './bundle/index.js';
import { bundleCommand } from './commands/bundle.js';
import { exportModelCommand, MODEL_FORMATS, type ModelFormat } from './commands/export-model.js';
import { exportCommand } from './commands/export.js';
import { importCommand } from './commands/import.js';
import { janitorCommand } from './commands/janitor.js';
import { datasetsCommand } from './commands/lists.js';
import { predictCommand } from './commands/predict.js';
import { selftestCommand } from './commands/selftest.js';
import { createTokenCommand, revokeTokenCommand } from './commands/tokens.js';
import { upCommand } from './commands/up.js';
import { catalogueCommand, importWeightsCommand, listWeightsCommand } from './commands/weights.js';
import { EXIT_HELP } from './exit-codes.js';
import { byteSize, limit, splitFractions, wholeNumber } from './options.js';
import { addPoolCommands, addRunCommands } from './run-program.js';
import type { CommandContext } from './session.js';

type Host = Omit<CommandContext, 'url' | 'token'>;

const MAX_INT = 2_147_483_647;
const count = wholeNumber({ min: 1, max: MAX_INT });
const PART_BYTES = { min: 2 ** 20, max: 2 ** 30 };

/** Every command with its flags; what they do is in `commands/`. */
export function createProgram(host: Host): Command {
  const program = new Command('roentgen')
    .description('Datasets, training runs and predictions of chest X-ray classifiers.')
    .option('--url <address>', 'address of the API (ROENTGEN_URL; default http://127.0.0.1:4400/graphql)')
    .option('--token <token>', 'API token (ROENTGEN_TOKEN)')
    .option('--json', 'result as one JSON object, or as JSON lines where something is followed; everything else on stderr')
    .option('--debug', 'stack traces of failures')
    .addHelpText('after', EXIT_HELP);
  const context = (): CommandContext => {
    const { url, token } = program.opts<{ url?: string; token?: string }>();
    return { ...host, url, token };
  };
  addUp(program, context);
  addDatasetCommands(program, context);
  addWeightsCommands(program, context);
  addRunCommands(program, context);
  addPoolCommands(program, context);
  addWorkerCommands(program, context);
  addModelCommands(program, context);
  addPredictionCommands(program, context);
  addTokenCommands(program, context);
  addJanitor(program, context);
  return prepared(program, host);
}

/** Usage errors are thrown instead of ending the process, and printed once, by the caller. */
function prepared(program: Command, host: Host): Command {
  for (const command of [program, ...program.commands, ...program.commands.flatMap((group) => group.commands)]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => host.stdout.write(text),
      outputError: () => undefined,
      writeErr: (text) => host.stderr.write(text),
    });
  }
  return program;
}

function addUp(program: Command, context: () => CommandContext): void {
  program
    .command('up')
    .description('run a whole Roentgen on this machine; imports, trains and predicts on samples/ where there is no dataset yet')
    .option('--workers <n>', 'worker processes', wholeNumber({ min: 1, max: 64 }), 1)
    .option('--port <n>', 'port of the API', wholeNumber({ min: 0, max: 65_535 }), 4400)
    .option('--no-demo', 'do not import, train or predict anything')
    .option('--exit-after-demo', 'run the demo, also where there is a dataset, and stop; the last line is one JSON object')
    .action((options) => upCommand(context(), options));
}

function addDatasetCommands(program: Command, context: () => CommandContext): void {
  program
    .command('import')
    .description('make a dataset of a folder of images and a CSV file of labels')
    .argument('<dir>', 'folder with the images')
    .requiredOption('--labels <csv>', 'label file; also looked for in the folder')
    .requiredOption('--name <name>', 'name of the dataset; a new one is made, or a new version')
    .option('--file-column <name>', 'column with the file name', 'file')
    .option('--label-column <name>', 'column with the label', 'label')
    .option('--patient-column <name>', 'column with the patient; a patient is never in two splits', 'patient')
    .option('--split-seed <n>', 'seed of the split', wholeNumber({ min: 0, max: MAX_INT }), 0)
    .addOption(
      new Option('--fractions <train,val,test>', 'shares of the splits')
        .argParser(splitFractions)
        .default({ train: 0.7, val: 0.15, test: 0.15 }, '0.7,0.15,0.15'),
    )
    .option('--skip-bad', 'leave bad rows and rejected files out instead of stopping')
    .option('--concurrency <n>', 'transfers at a time', wholeNumber({ min: 1, max: 64 }), 8)
    .action((directory: string, options) => importCommand(context(), directory, options));
  program
    .command('datasets')
    .description('list dataset versions')
    .addOption(limit())
    .action((options) => datasetsCommand(context(), options));
}

function addWeightsCommands(program: Command, context: () => CommandContext): void {
  const weights = program.command('weights').description('weights of other libraries, to start training from');
  weights
    .command('import')
    .description('make a weight set of a .safetensors, .pth, .h5 or .weights.h5 file; nothing in the file is executed')
    .argument('<file|url|name>', 'file on this disk, web address, or name of the catalogue')
    .option('--name <name>', 'name of the weight set; default: that of the file')
    .option('--variant <b0…b7|lite0>', 'EfficientNet variant; default: told from the file')
    .option('--library <name>', 'who wrote it, where the file cannot tell: timm, or timm-tf for tf_efficientnet_…')
    .option('--sha256 <hex>', 'of the file; another one is refused')
    .addOption(new Option('--fetch <where>', 'who fetches an address or a name').choices(['here', 'server']).default('here'))
    .action((what: string, options) => importWeightsCommand(context(), what, options));
  weights
    .command('list')
    .description('list weight sets, newest first')
    .addOption(limit())
    .action((options) => listWeightsCommand(context(), options));
  weights
    .command('catalogue')
    .description('list published files that can be imported by name; needs no API')
    .action(() => catalogueCommand(context()));
}

function addWorkerCommands(program: Command, context: () => CommandContext): void {
  const worker = program.command('worker').description('check what a worker will run on, and pack one for a machine without internet');
  worker
    .command('selftest')
    .description('check device, numbers, speed and memory on this machine; needs no API')
    .addOption(
      new Option('--device <device>', 'where to compute (WORKER_DEVICE; default auto: a GPU where one is visible)').choices([
        'auto',
        'cpu',
        'cuda',
      ]),
    )
    .option('--quick', 'smaller sizes for the speed')
    .action((options) => selftestCommand(context(), options));
  worker
    .command('bundle')
    .description('pack a worker with everything that it needs into parts with an unpack script; needs no API')
    .addOption(new Option('--device <device>', 'what the other machine computes on').choices(['cpu', 'cuda']).makeOptionMandatory())
    .requiredOption('--out <dir>', 'folder for the parts: empty, new, or with a bundle in it')
    .addOption(new Option('--part-size <size>', 'no file is larger').argParser(byteSize(PART_BYTES)).default(60 * 2 ** 20, '60MiB'))
    .addOption(new Option('--compression <level>', 'fast is for trying things out').choices(COMPRESSIONS).default('best'))
    .option('--with-cuda-libraries', "NVIDIA's libraries too, gigabytes; without, the other machine has CUDA 12 and cuDNN 9")
    .action((options) => bundleCommand(context(), options));
}

function addModelCommands(program: Command, context: () => CommandContext): void {
  program
    .command('model')
    .description('take models elsewhere')
    .command('export')
    .description('write a model for other programs; it takes RGB bytes [batch, size, size, 3] and gives logits and probabilities')
    .argument('<model>', 'mdl_…, or the run_… that it came from')
    .addOption(
      new Option('--format <format>', 'ONNX file, folder with a TensorFlow SavedModel, or safetensors file with the tensors alone')
        .choices(MODEL_FORMATS)
        .makeOptionMandatory(),
    )
    .requiredOption('--out <path>', 'file to write; a folder for savedmodel')
    .action((model: string, options: { format: ModelFormat; out: string }) => exportModelCommand(context(), model, options));
}

function addPredictionCommands(program: Command, context: () => CommandContext): void {
  program
    .command('predict')
    .description('predict a split or a folder of images and write a CSV')
    .requiredOption('--model <mdl_…>', 'model; a finished run has one')
    .option('--dataset <name|dsv_…>', 'dataset (its newest version) or dataset version')
    .addOption(new Option('--split <split>', 'split of the dataset').choices(['train', 'val', 'test']).default('val'))
    .option('--images <dir>', 'folder of images instead of a dataset')
    .option('--out <csv>', 'file to write; without it only the job is shown')
    .option('--concurrency <n>', 'transfers at a time', wholeNumber({ min: 1, max: 64 }), 8)
    .action((options) => predictCommand(context(), options));
  program
    .command('export')
    .description('write the predictions of a finished job as CSV')
    .argument('<job>', 'pred_…')
    .requiredOption('--out <csv>', 'file to write')
    .action((job: string, options) => exportCommand(context(), job, options));
}

function addTokenCommands(program: Command, context: () => CommandContext): void {
  const tokens = program.command('tokens').description('make and revoke API tokens');
  tokens
    .command('create')
    .description('make a token; it is shown once')
    .requiredOption('--name <name>', 'what it is for')
    .addOption(new Option('--role <role>', 'what it may do').choices(['viewer', 'analyst', 'trainer', 'admin']).makeOptionMandatory())
    .option('--expires-in-days <n>', 'days after which it ends by itself', count)
    .action((options) => createTokenCommand(context(), options));
  tokens
    .command('revoke')
    .description('end a token at once')
    .argument('<token>', 'tok_…')
    .action((token: string) => revokeTokenCommand(context(), token));
}

function addJanitor(program: Command, context: () => CommandContext): void {
  program
    .command('janitor')
    .description('say which objects in the store nobody needs, and which are missing; exit code 1 when some are')
    .option('--delete', 'remove what nobody needs; without it nothing is changed')
    .action((options) => janitorCommand(context(), options));
}
