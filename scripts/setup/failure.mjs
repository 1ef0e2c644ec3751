/** A failure that the person at the terminal can act on: what is wrong, and how to get past it. Shown without a stack. */
export class SetupFailure extends Error {
  /**
   * @param {string} message what was found and what was expected
   * @param {string} [fix] the command or the step that helps
   */
  constructor(message, fix) {
    super(fix === undefined ? message : `${message}\n  → ${fix}`);
    this.name = 'SetupFailure';
  }
}

/** Runs a script's main function; a failure is printed in words and ends the process with code 1. @param {() => Promise<number | void>} main */
export async function runMain(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    console.error(error instanceof SetupFailure ? `\n${error.message}` : error);
    process.exitCode = 1;
  }
}
