import type { Message } from '@roentgen/protocol';

/** Full subjects, as the broker sees them: the system's prefix and the message's own. */
export class Subjects {
  constructor(private readonly prefix: string) {}

  of(relative: string): string {
    return `${this.prefix}.${relative}`;
  }

  /** The tokens that the sender filled in, in the order of the message's definition; they are the last words of a subject. */
  tokensOf(message: Pick<Message<string, readonly string[], unknown>, 'tokenNames'>, subject: string): string[] {
    const words = subject.split('.');
    return words.slice(words.length - message.tokenNames.length);
  }
}

export const streamName = (subjectPrefix: string): string => `${subjectPrefix}-work`;
