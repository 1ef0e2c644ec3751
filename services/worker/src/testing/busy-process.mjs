// A compute process in a call that never returns: its networking thread looks after the parent, its main thread hears nothing any more.
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const thread = new Worker(new URL('./thread-boot.mjs', import.meta.url), {
  workerData: { entry: new URL('./watching-thread.ts', import.meta.url).href },
});
thread.once('message', () => {
  writeSync(1, `${process.pid}\n`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
