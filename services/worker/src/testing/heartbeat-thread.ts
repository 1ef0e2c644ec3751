import { parentPort } from 'node:worker_threads';
import { Heartbeat } from '../network/heartbeat.js';

/** Beats into the message port, as the networking thread beats onto the broker; the first message is when it started. */
new Heartbeat(() => parentPort?.postMessage(performance.timeOrigin + performance.now()), 200).start();
