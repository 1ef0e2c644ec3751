import { parentPort } from 'node:worker_threads';
import { endWithParent } from '../network/end-with-parent.js';

endWithParent();
parentPort?.postMessage('watching');
parentPort?.on('message', () => undefined);
