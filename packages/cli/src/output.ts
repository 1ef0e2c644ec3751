import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import type { Failure } from './failure.js';

/** What one progress bar stands for. */
export interface Progress {
  /** @param note shown behind the numbers, such as the loss of the last step */
  update(done: number, note?: string): void;
  end(): void;
}

/** Something that text can be written to; process.stdout and process.stderr, or a buffer in a test. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink & NodeJS.WritableStream;
}

/** A plain line at each of so many parts of the way, where there is no terminal to draw on. */
const PLAIN_LINES = 10;

/**
 * What a command says. The result goes to stdout: words, or with --json one JSON object (or one per line for commands that follow something).
 * Everything else goes to stderr.
 */
export class Output {
  #bars: MultiBar | undefined;
  #open = 0;

  constructor(private readonly options: OutputOptions) {}

  get json(): boolean {
    return this.options.json;
  }

  /** The result of the command, once: as JSON, or as the words for it. */
  result(value: unknown, words: () => string): void {
    this.#print(this.json ? JSON.stringify(value) : words());
  }

  /** One item of something that is followed; a JSON line, or a line of words. */
  item(value: unknown, words: string): void {
    this.#print(this.json ? JSON.stringify(value) : words);
  }

  /** A line for the person who waits; never part of the result. */
  note(text: string): void {
    if (this.#bars !== undefined) this.#bars.log(`${text}\n`);
    else this.options.stderr.write(`${text}\n`);
  }

  failure(failure: Failure): void {
    if (this.json)
      this.#print(
        JSON.stringify({ error: { code: failure.code, message: failure.message, issues: failure.issues, requestId: failure.requestId } }),
      );
    const issues = failure.issues
      .filter((issue) => !failure.message.includes(issue.message))
      .map((issue) => `  ${issue.field}: ${issue.message}`);
    const request = failure.requestId === null ? [] : [`  request ${failure.requestId}`];
    this.note([`error: ${failure.message}`, ...issues, ...request].join('\n'));
  }

  /** Starts a progress bar; several can run at the same time. */
  progress(label: string, total: number): Progress {
    return this.options.stderr.isTTY === true ? this.#bar(label, total) : this.#lines(label, total);
  }

  #bar(label: string, total: number): Progress {
    this.#bars ??= new MultiBar(
      {
        stream: this.options.stderr,
        format: '{label} {bar} {value}/{total} {note}',
        hideCursor: true,
        clearOnComplete: false,
        barsize: 28,
        stopOnComplete: false,
      },
      Presets.rect,
    );
    this.#open++;
    const bar: SingleBar = this.#bars.create(total, 0, { label: label.padEnd(12), note: '' });
    return {
      update: (done, note) => bar.update(done, note === undefined ? {} : { note }),
      end: () => {
        bar.stop();
        if (--this.#open > 0) return;
        this.#bars?.stop();
        this.#bars = undefined;
      },
    };
  }

  #lines(label: string, total: number): Progress {
    let shown = -1;
    return {
      update: (done, note = '') => {
        const part = total === 0 ? PLAIN_LINES : Math.floor((done / total) * PLAIN_LINES);
        if (part <= shown) return;
        shown = part;
        this.options.stderr.write(`${label} ${done}/${total}${note === '' ? '' : ` ${note}`}\n`);
      },
      end: () => undefined,
    };
  }

  #print(text: string): void {
    this.options.stdout.write(`${text}\n`);
  }
}

/** Columns padded to their widest cell, numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => String(row[column] ?? '').length)));
  const line = (cells: readonly (string | number)[]) =>
    cells
      .map((cell, column) => (typeof cell === 'number' ? String(cell).padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
