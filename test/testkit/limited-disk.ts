import { execFileSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';

const KIB = 1024;
const FILL_TRIES = 100;

/** A disk whose size a test sets: a file system in memory, which takes no more memory than what lies on it. Whoever mounts it needs the right to: root. */
export class LimitedDisk {
  private constructor(
    /** Root of the disk. */
    readonly folder: string,
    private readonly sizeBytes: number,
  ) {}

  /**
   * @param folder where it is mounted; made for it
   * @param sizeBytes what it has at first
   * @throws Error saying why this machine permits no such disk
   */
  static open(folder: string, sizeBytes: number): LimitedDisk {
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes / KIB}k,mode=0700`, 'tmpfs', folder], { stdio: 'pipe' });
    return new LimitedDisk(folder, sizeBytes);
  }

  /** Takes all room away but for so much. A size below what lies there is refused: where somebody has written since it was measured, it is measured again. */
  fill(leaveBytes = 0): void {
    for (let tries = FILL_TRIES; ; tries--) {
      const { blocks, bfree, bsize } = statfsSync(this.folder);
      try {
        return this.resize((blocks - bfree) * bsize + leaveBytes);
      } catch (refused) {
        if (tries === 1) throw refused;
      }
    }
  }

  /** The room that it had at first. */
  restore(): void {
    this.resize(this.sizeBytes);
  }

  /** Nothing may use it any more. */
  close(): void {
    execFileSync('umount', [this.folder], { stdio: 'pipe' });
  }

  private resize(sizeBytes: number): void {
    execFileSync('mount', ['-o', `remount,size=${Math.ceil(sizeBytes / KIB)}k`, this.folder], { stdio: 'pipe' });
  }
}
