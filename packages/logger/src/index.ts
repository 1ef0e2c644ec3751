import { pino, type Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Paths whose values never reach a log line, at the top and one and two levels down. */
const SECRET_NAMES = [
  'authorization',
  'password',
  'token',
  'secret',
  'secretKey',
  'accessKey',
  'cookie',
  'uploadUrl',
  'downloadUrl',
  'url.password',
];
const REDACTED_PATHS = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** JSON lines on stderr (stdout belongs to what a command prints). Object first, message second; errors under `err`. */
export function createLogger(service: string, level: LogLevel): Logger {
  return pino(
    {
      name: service,
      level,
      redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
      timestamp: pino.stdTimeFunctions.isoTime,
      base: { service, pid: process.pid },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** For tests and for code that wants no log. */
export const silentLogger: Logger = pino({ level: 'silent' });
