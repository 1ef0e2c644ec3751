import { posix, win32 } from 'node:path';
import { CsvError, parse } from 'csv-parse/sync';
import { UsageError } from '../failure.js';

/** Which columns of the label file mean what. */
export interface LabelColumns {
  readonly file: string;
  readonly label: string;
  readonly patient: string;
}

export interface LabelRow {
  /** Line of the label file, counted from 1. */
  readonly line: number;
  readonly fileName: string;
  readonly label: string;
  readonly patient: string;
}

export interface LabelProblem {
  readonly line: number;
  readonly message: string;
}

export interface ParsedLabels {
  readonly rows: readonly LabelRow[];
  readonly problems: readonly LabelProblem[];
}

interface CsvRecord {
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * Reads a label file: CSV with a header. Rows that break a rule are left out and reported, each with its line.
 * @throws UsageError when the file as a whole cannot be used: no CSV, empty, or without a column it should have
 */
export function parseLabels(text: string, path: string, columns: LabelColumns): ParsedLabels {
  const [header, ...records] = readRecords(text, path);
  if (header === undefined)
    throw new UsageError(
      `${path} is empty: expected a header line with the columns ${Object.values(columns).join(', ')}, then one line per image.`,
    );
  const index = columnIndexes(header.cells, path, columns);
  const rows: LabelRow[] = [];
  const problems: LabelProblem[] = [];
  const firstLineOf = new Map<string, number>();
  for (const { cells, line } of records) {
    const row = {
      line,
      fileName: normalised(cell(cells, index.file)),
      label: cell(cells, index.label),
      patient: cell(cells, index.patient),
    };
    const problem = rowProblem(row, columns, firstLineOf);
    if (problem !== null) problems.push({ line: row.line, message: problem });
    else rows.push(row);
    if (row.fileName !== '' && !firstLineOf.has(row.fileName)) firstLineOf.set(row.fileName, row.line);
  }
  return { rows, problems };
}

function readRecords(text: string, path: string): CsvRecord[] {
  try {
    const lines: number[] = [];
    const noteLine = (cells: string[], place: { readonly lines: number }): string[] => {
      lines.push(place.lines);
      return cells;
    };
    const records = parse(text, { bom: true, relax_column_count: true, skip_empty_lines: true, trim: true, on_record: noteLine });
    return records.map((cells, index) => ({ cells, line: lines[index] ?? 0 }));
  } catch (error) {
    if (error instanceof CsvError)
      throw new UsageError(`${path} is not valid CSV: ${error.message}. Put texts that contain commas or quotes in double quotes.`);
    throw error;
  }
}

function columnIndexes(header: readonly string[], path: string, columns: LabelColumns): Record<keyof LabelColumns, number> {
  const missing = Object.entries(columns).filter(([, name]) => !header.includes(name));
  if (missing.length > 0) {
    const wanted = missing.map(([meaning, name]) => `"${name}" (for the ${meaning})`).join(' and ');
    const flags = missing.map(([meaning]) => `--${meaning}-column`).join(', ');
    throw new UsageError(`${path} has no column ${wanted}. Its columns are: ${header.join(', ')}. Name the right one with ${flags}.`);
  }
  return { file: header.indexOf(columns.file), label: header.indexOf(columns.label), patient: header.indexOf(columns.patient) };
}

const cell = (cells: readonly string[], index: number): string => cells[index] ?? '';

/** `./a.png` and `x/../a.png` are the same file as `a.png`. */
const normalised = (fileName: string): string => (fileName === '' ? '' : posix.normalize(fileName));

function rowProblem(row: LabelRow, columns: LabelColumns, firstLineOf: ReadonlyMap<string, number>): string | null {
  const empty = (['fileName', 'label', 'patient'] as const)
    .filter((field) => row[field] === '')
    .map((field) => columns[field === 'fileName' ? 'file' : field]);
  if (empty.length > 0) return `the column${empty.length > 1 ? 's' : ''} ${empty.join(', ')} ${empty.length > 1 ? 'are' : 'is'} empty`;
  if (leavesFolder(row.fileName)) return `"${row.fileName}" leaves the folder: file names are relative to it and stay inside`;
  const first = firstLineOf.get(row.fileName);
  return first === undefined ? null : `"${row.fileName}" was already named in line ${first}; each file gets one row`;
}

/** Whether a path is absolute or climbs out with `..`. Both kinds of slashes count, wherever the file was written. */
function leavesFolder(fileName: string): boolean {
  return (
    win32.isAbsolute(fileName) || /^[a-z]:/i.test(fileName) || fileName.includes('\0') || win32.normalize(fileName).split('\\')[0] === '..'
  );
}
