/** A process that owns a stack, for tests that kill it: prints one line of JSON when the stack is ready, then stays. Arguments: profile, data folder. */
import { startStack } from '@roentgen/local-stack';

const [profile, dataDirectory] = process.argv.slice(2);
const stack = await startStack({
  profile: profile === 'durable' ? 'durable' : 'ephemeral',
  ...(dataDirectory === undefined ? {} : { dataDirectory }),
  natsUsers: [{ name: 'admin' }],
});
console.log(JSON.stringify({ dataDirectory: stack.dataDirectory, pids: stack.processes().map(({ pid }) => pid) }));
setInterval(() => undefined, 60_000);
