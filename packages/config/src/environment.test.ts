import { expect, test } from 'vitest';
import { ConfigError, integer, oneOf, optionalText, portOrOff, readVariables, requiredText } from './environment.js';
import { TRACING_VARIABLES, tracingEndpoint } from './shared.js';

const VARIABLES = {
  URL: requiredText('where it is', { secret: true }),
  PORT: integer('port', 4000, { min: 1, max: 65535 }),
  MODE: oneOf('mode', ['fast', 'safe'], 'safe'),
  NAME: optionalText('name', 'none'),
} as const;

test('defaults fill what is unset or empty', () => {
  expect(readVariables(VARIABLES, { URL: 'x', PORT: '' })).toEqual({ URL: 'x', PORT: 4000, MODE: 'safe', NAME: 'none' });
});

test('all problems are reported at once, with value and rule', () => {
  const read = () => readVariables(VARIABLES, { PORT: '70000', MODE: 'wild' });
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(/3 problems/);
  expect(read).toThrow(/URL is not set/);
  expect(read).toThrow(/PORT="70000": must be a whole number from 1 to 65535/);
  expect(read).toThrow(/MODE="wild": must be one of fast, safe/);
});

test('the value of a secret is not repeated', () => {
  const secret = {
    KEY: { ...requiredText('key', { secret: true }), schema: requiredText('key').schema.refine((v) => v.length > 20, 'too short') },
  } as const;
  expect(() => readVariables(secret, { KEY: 'hunter2' })).toThrow(/\[secret\]/);
  expect(() => readVariables(secret, { KEY: 'hunter2' })).not.toThrow(/hunter2/);
});

test('a port that is not set is off, 0 is any free one', () => {
  const port = { PORT: portOrOff('where') } as const;
  expect(readVariables(port, {}).PORT).toBeNull();
  expect(readVariables(port, { PORT: '' }).PORT).toBeNull();
  expect(readVariables(port, { PORT: '0' }).PORT).toBe(0);
  expect(readVariables(port, { PORT: '9401' }).PORT).toBe(9401);
  for (const bad of ['65536', '-1', '80.5', 'http']) expect(() => readVariables(port, { PORT: bad })).toThrow(/from 0 to 65535/);
});

test('traces go to an address over HTTP, or nowhere', () => {
  const endpoint = (text: string) => tracingEndpoint(readVariables(TRACING_VARIABLES, { OTEL_EXPORTER_OTLP_ENDPOINT: text }));
  expect(endpoint('')).toBeNull();
  expect(endpoint('http://collector:4318')).toBe('http://collector:4318');
  expect(() => endpoint('collector:4317')).toThrow(/must be http:\/\/host:port/);
});
