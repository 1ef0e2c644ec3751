/** Exit codes of `roentgen`, also printed by `roentgen --help`. */
export const EXIT = {
  ok: 0,
  failed: 1,
  badInput: 2,
  unreachable: 3,
  runFailed: 4,
  interrupted: 130,
} as const;

export const EXIT_HELP = `
Exit codes:
  0    done
  1    failed
  2    bad usage or bad input
  3    the API cannot be reached, or refuses the token
  4    the training run, prediction job, import of weights or janitor pass failed
  130  interrupted`;
