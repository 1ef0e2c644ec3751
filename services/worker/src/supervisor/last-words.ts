const MAX_LINES = 12;
const MAX_CHARACTERS = 4_000;

/** Keeps the end of what a process writes to standard error, without our own log (JSON lines have been read already) and without stacks. */
export class LastWords {
  private lines: string[] = [];
  private rest = '';

  add(text: string): void {
    const lines = `${this.rest}${text}`.split('\n');
    this.rest = (lines.pop() ?? '').slice(-MAX_CHARACTERS);
    this.lines = [...this.lines, ...lines.filter(isProse)].slice(-MAX_LINES);
  }

  get text(): string {
    const all = [...this.lines, ...(isProse(this.rest) ? [this.rest] : [])].slice(-MAX_LINES);
    return all.join('\n').slice(-MAX_CHARACTERS).trim();
  }
}

/** Frames of the stack that absl and Node print after the reason, and their headings: they would push the reason out. */
const STACK = /^\s*(@\s+0x|\d+: \S)|stack trace/;

const isProse = (line: string): boolean => line.trim() !== '' && !line.startsWith('{"level"') && !STACK.test(line);
