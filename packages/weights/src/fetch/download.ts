import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { readWebAddress } from '@roentgen/domain';
import { WeightsFileError } from '../errors.js';
import { assertPublicHost, publicLookup } from './address-guard.js';

export interface DownloadOptions {
  /** Whether addresses of this machine and its network may be fetched from. */
  readonly privateAddresses: boolean;
  /** A larger file is not fetched. */
  readonly limitBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** @param total null where the server does not say */
  readonly onProgress?: ((done: number, total: number | null) => void) | undefined;
  /** Pauses before another try, after the connection broke. */
  readonly retryMs?: readonly number[] | undefined;
}

const MAX_REDIRECTS = 5;
/** Nothing lies behind what was asked for (RFC 9110 §15.5.17): the answer to a part that is the whole file, or longer. */
const RANGE_NOT_SATISFIABLE = 416;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** A server that says nothing for so long is taken for gone. */
const SILENCE_MS = 30_000;
const RETRY_MS = [500, 2_000, 5_000];

/** Of what lies in `<target>.part`: the answer that it is the beginning of. */
const PartSchema = z.object({ url: z.string(), validator: z.string() });

/** @throws WeightsFileError `WEIGHTS_FETCH` for what is no address that a file can be fetched from */
export function parseWeightsUrl(url: string): URL {
  const parsed = readWebAddress(url);
  if (parsed) return parsed;
  throw new WeightsFileError('WEIGHTS_FETCH', {
    value: `"${url.slice(0, 200)}"`,
    rule: 'an address begins with http:// or https:// and a host, and has two hex digits behind each %',
    fix: 'Copy the address again, and write a % that is meant as itself as %25.',
  });
}

/**
 * Fetches a file over HTTP. What arrived before a connection broke is kept in `<target>.part` and gone on from, also by a later call, as long as the
 * server says that the file is still the same (RFC 9110 §13.1.5, If-Range).
 *
 * @param target the file is there, whole, when this resolves
 * @throws WeightsFileError `WEIGHTS_FETCH` for what the server refuses and for forbidden addresses, `WEIGHTS_LIMIT` for a file that is too large
 */
export async function download(url: string, target: string, options: DownloadOptions): Promise<void> {
  parseWeightsUrl(url);
  const pauses = options.retryMs ?? RETRY_MS;
  for (let attempt = 0; ; attempt++) {
    try {
      await attemptDownload(url, target, options);
      await rename(`${target}.part`, target);
      await rm(`${target}.part.json`, { force: true });
      return;
    } catch (thrown) {
      options.signal?.throwIfAborted();
      if (thrown instanceof WeightsFileError) throw thrown;
      const pauseMs = pauses[attempt];
      if (pauseMs === undefined) throw unreachable(url, thrown);
      await sleep(pauseMs, undefined, options.signal ? { signal: options.signal } : {});
    }
  }
}

async function attemptDownload(url: string, target: string, options: DownloadOptions): Promise<void> {
  const part = `${target}.part`;
  const known = await knownPart(url, part);
  const headers = known ? { range: `bytes=${known.bytes}-`, 'if-range': known.validator } : {};
  const response = await follow(url, headers, options);
  if (response.statusCode === RANGE_NOT_SATISFIABLE && known) {
    response.destroy();
    if (isWhole(response, known)) {
      if (known.bytes > options.limitBytes) throw tooLarge(url, known.bytes, options.limitBytes);
      return options.onProgress?.(known.bytes, known.bytes);
    }
    await rm(part, { force: true });
    return await attemptDownload(url, target, options);
  }
  const resumedFrom = response.statusCode === 206 ? known?.bytes : 0;
  if (resumedFrom === undefined || (resumedFrom > 0 && !isRangeFrom(response, resumedFrom))) {
    response.destroy();
    await rm(part, { force: true });
    throw new Error('the server answered with another part of the file than was asked for');
  }
  const total = totalOf(response, resumedFrom);
  if (total !== null && total > options.limitBytes) throw tooLarge(url, total, options.limitBytes, response);
  await rememberPart(url, part, response);
  await writePart(response, part, { url, resumedFrom, total, options });
  const { size } = await stat(part);
  if (total !== null && size !== total) throw new Error(`${size} of ${total} bytes arrived`);
}

/** The answer after redirects. @throws WeightsFileError */
async function follow(url: string, headers: Readonly<Record<string, string>>, options: DownloadOptions): Promise<IncomingMessage> {
  let at = new URL(url);
  for (let redirects = 0; ; redirects++) {
    const response = await ask(at, headers, options);
    const { statusCode = 0 } = response;
    if (statusCode === 200 || statusCode === 206 || (statusCode === RANGE_NOT_SATISFIABLE && headers['range'])) return response;
    response.destroy();
    const location = response.headers.location;
    if (!REDIRECTS.has(statusCode) || location === undefined) throw refused(at, statusCode);
    if (redirects === MAX_REDIRECTS) throw fetchError(url, `it redirects more than ${MAX_REDIRECTS} times`);
    at = redirected(at, location);
  }
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from.href) : null;
  if (to === null || !/^https?:$/.test(to.protocol))
    throw fetchError(from.href, `it redirects to "${location.slice(0, 200)}", which is no web address`);
  if (from.protocol === 'https:' && to.protocol === 'http:') throw fetchError(from.href, 'it redirects from https to http');
  return to;
}

function ask(url: URL, headers: Readonly<Record<string, string>>, { privateAddresses, signal }: DownloadOptions): Promise<IncomingMessage> {
  if (!privateAddresses) assertPublicHost(url.hostname);
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        headers: { ...headers, accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'roentgen' },
        timeout: SILENCE_MS,
        ...(signal && { signal }),
        ...(!privateAddresses && { lookup: publicLookup }),
      },
      resolve,
    );
    sent.once('timeout', () => sent.destroy(new Error(`no answer for ${SILENCE_MS / 1000} s`)));
    sent.once('error', reject);
    sent.end();
  });
}

/** A server's trouble may pass, a refusal does not. */
function refused(url: URL, statusCode: number): Error {
  if (statusCode >= 500 || statusCode === 408 || statusCode === 429) return new Error(`the server answered HTTP ${statusCode}`);
  return fetchError(url.href, `the server answered HTTP ${statusCode}`);
}

interface KnownPart {
  readonly bytes: number;
  readonly validator: string;
}

/** What an earlier try left; null where there is nothing to go on from. */
async function knownPart(url: string, part: string): Promise<KnownPart | null> {
  try {
    const { size } = await stat(part);
    const about = PartSchema.parse(JSON.parse(await readFile(`${part}.json`, 'utf8')));
    return about.url === url && size > 0 ? { bytes: size, validator: about.validator } : null;
  } catch {
    return null;
  }
}

/** Only a strong validator says that two parts are of one file (RFC 9110 §8.8.1). */
async function rememberPart(url: string, part: string, { headers }: IncomingMessage): Promise<void> {
  const { etag } = headers;
  if (etag !== undefined && !etag.startsWith('W/')) await writeFile(`${part}.json`, JSON.stringify({ url, validator: etag }));
  else await rm(`${part}.json`, { force: true });
}

/** Whether the server has no more than lies here already, which happens when this program ended after the last byte; of another file it says so. */
function isWhole({ headers }: IncomingMessage, { bytes, validator }: KnownPart): boolean {
  return headers['content-range'] === `bytes */${bytes}` && (headers.etag ?? validator) === validator;
}

function isRangeFrom({ headers }: IncomingMessage, first: number): boolean {
  return new RegExp(`^bytes ${first}-`).test(headers['content-range'] ?? '');
}

function totalOf({ headers }: IncomingMessage, resumedFrom: number): number | null {
  const length = Number(headers['content-length'] ?? Number.NaN);
  return Number.isSafeInteger(length) ? resumedFrom + length : null;
}

interface PartContext {
  readonly url: string;
  readonly resumedFrom: number;
  readonly total: number | null;
  readonly options: DownloadOptions;
}

/** Piece by piece and not through a pipeline, which throws away what it holds when the connection breaks. */
async function writePart(response: IncomingMessage, part: string, { url, resumedFrom, total, options }: PartContext): Promise<void> {
  const { limitBytes, onProgress } = options;
  const file = await open(part, resumedFrom > 0 ? 'a' : 'w');
  let done = resumedFrom;
  try {
    onProgress?.(done, total);
    for await (const piece of response) {
      const bytes = piece as Buffer;
      done += bytes.length;
      if (done > limitBytes) throw tooLarge(url, done, limitBytes);
      await file.appendFile(bytes);
      onProgress?.(done, total);
    }
  } finally {
    await file.close();
  }
}

function tooLarge(url: string, bytes: number, limitBytes: number, response?: IncomingMessage): WeightsFileError {
  response?.destroy();
  return new WeightsFileError('WEIGHTS_LIMIT', { value: `${bytes} bytes or more at ${url}`, rule: `at most ${limitBytes} are fetched` });
}

function fetchError(url: string, rule: string, options: ErrorOptions = {}): WeightsFileError {
  return new WeightsFileError('WEIGHTS_FETCH', { value: url, rule }, options);
}

function unreachable(url: string, cause: unknown): WeightsFileError {
  return fetchError(url, cause instanceof Error ? cause.message || cause.name : String(cause), { cause });
}
