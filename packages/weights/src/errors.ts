import { RoentgenError } from '@roentgen/domain';

/**
 * - `WEIGHTS_UNKNOWN_FORMAT`: the bytes begin like none of the formats read here.
 * - `WEIGHTS_TRUNCATED`: the file ends before what it announces.
 * - `WEIGHTS_MALFORMED`: the file contradicts itself or its format.
 * - `WEIGHTS_LIMIT`: a limit against hostile files, see `WEIGHTS_LIMITS`.
 * - `WEIGHTS_FORBIDDEN_PICKLE`: the pickle asks for something that is neither a tensor nor a plain container.
 * - `WEIGHTS_UNSUPPORTED`: allowed by the format, not read here.
 * - `WEIGHTS_UNKNOWN_SOURCE`: the names of the tensors do not say which library wrote them.
 * - `WEIGHTS_MISMATCH`: the tensors are not those of the network.
 * - `WEIGHTS_DIGEST`: the bytes are not those that were announced.
 * - `WEIGHTS_FETCH`: the file cannot be fetched from where it was said to be.
 * - `WEIGHTS_UNKNOWN_NAME`: the catalogue has no entry of this name.
 */
export type WeightsErrorCode =
  | 'WEIGHTS_UNKNOWN_FORMAT'
  | 'WEIGHTS_TRUNCATED'
  | 'WEIGHTS_MALFORMED'
  | 'WEIGHTS_LIMIT'
  | 'WEIGHTS_FORBIDDEN_PICKLE'
  | 'WEIGHTS_UNSUPPORTED'
  | 'WEIGHTS_UNKNOWN_SOURCE'
  | 'WEIGHTS_MISMATCH'
  | 'WEIGHTS_DIGEST'
  | 'WEIGHTS_FETCH'
  | 'WEIGHTS_UNKNOWN_NAME';

export interface WeightsProblem {
  /** What was found. */
  readonly value: string;
  /** What it breaks. */
  readonly rule: string;
  /** What the user can do. */
  readonly fix: string;
}

const FIXES: Readonly<Record<WeightsErrorCode, string>> = {
  WEIGHTS_UNKNOWN_FORMAT: 'Give a .safetensors, .pth, .h5 or .weights.h5 file.',
  WEIGHTS_TRUNCATED: 'Fetch the file again and compare its SHA-256.',
  WEIGHTS_MALFORMED: 'Fetch the file again and compare its SHA-256; if it is the published one, convert it to safetensors.',
  WEIGHTS_LIMIT: 'Use this file only if you trust who made it, and convert it to safetensors first.',
  WEIGHTS_FORBIDDEN_PICKLE: 'Save the state_dict() alone with torch.save, or convert the file to safetensors; nothing of it was executed.',
  WEIGHTS_UNSUPPORTED: 'Convert the file to safetensors.',
  WEIGHTS_UNKNOWN_SOURCE: 'Name the source of the file.',
  WEIGHTS_MISMATCH: 'Choose the variant that the file was made for.',
  WEIGHTS_DIGEST: 'Fetch the file again; if it is the same again, it is another file than the one that was meant.',
  WEIGHTS_FETCH: 'Check the address and the network, or fetch the file by other means and import it from disk.',
  WEIGHTS_UNKNOWN_NAME: 'Choose a name of the catalogue: roentgen weights catalogue.',
};

/** Names that are written out in an error, of each kind; the rest is counted. */
const LISTED_NAMES = 50;
const NAME_CHARACTERS = 120;
/** Of `value` and of `rule`: an error travels in a message of the broker, into a column and onto a terminal. */
const TEXT_CHARACTERS = 32_000;

/** The first of many names from a file, each shortened, and how many more there are. */
export function listed(names: readonly string[]): readonly string[] {
  const first = names.slice(0, LISTED_NAMES).map((name) => readable(name, NAME_CHARACTERS));
  return names.length > LISTED_NAMES ? [...first, `and ${names.length - LISTED_NAMES} more`] : first;
}

/** Text that a file may have chosen: no longer than given, and without what would steer a terminal or is no text to a database. */
function readable(text: string, characters: number): string {
  const shown = text.length > characters ? `${text.slice(0, characters)}…` : text;
  return shown.replace(/[^\P{Cc}\n]|\p{Cs}/gu, '\uFFFD');
}

/** A weight file that is not taken. */
export class WeightsFileError extends RoentgenError {
  readonly code: WeightsErrorCode;
  readonly value: string;
  readonly rule: string;
  readonly fix: string;

  /** @param problem `fix` may be left out where the usual one of the code says it; long texts are cut */
  constructor(
    code: WeightsErrorCode,
    problem: Omit<WeightsProblem, 'fix'> & { readonly fix?: string },
    options: ErrorOptions & { readonly details?: Readonly<Record<string, unknown>> } = {},
  ) {
    const { fix = FIXES[code] } = problem;
    const [value, rule] = [readable(problem.value, TEXT_CHARACTERS), readable(problem.rule, TEXT_CHARACTERS)];
    const { details, ...errorOptions } = options;
    super(`${value}: ${rule}. ${fix}`, { value, rule, fix, ...details }, errorOptions);
    this.code = code;
    this.value = value;
    this.rule = rule;
    this.fix = fix;
  }
}
