import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { TransferError } from './errors.js';
import { RETRY_POLICY } from './retry.js';
import { uploadFile } from './upload-file.js';

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

/** A store that answers the nth request so, null: not at all; what it was sent is in `taken`. */
async function store(answer: (nth: number) => number | null) {
  const taken: string[] = [];
  let requests = 0;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const status = answer(++requests);
    if (status === null) return void request.socket.destroy();
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      if (status === 200) taken.push(body);
      response.writeHead(status).end();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/key`, taken, requests: () => requests };
}

const FILE = new TextEncoder().encode('an image');

test('a file gets through to a store that is away for longer than a few tries', async () => {
  const restarted = await store((nth) => (nth <= RETRY_POLICY.attempts ? null : 200));
  await uploadFile(restarted.url, FILE);
  expect(restarted.taken).toEqual(['an image']);
});

test('a store that says what is wrong with it is asked a few times, one that refuses once', async () => {
  const full = await store(() => 507);
  const refusing = await store(() => 403);
  await Promise.all([
    expect(uploadFile(full.url, FILE)).rejects.toThrow(/It is full/),
    expect(uploadFile(refusing.url, FILE)).rejects.toThrow(TransferError),
  ]);
  expect([full.requests(), refusing.requests()]).toEqual([RETRY_POLICY.attempts, 1]);
});
