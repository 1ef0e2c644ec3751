import { runTask } from './selftest/run-task.js';
import { TaskSchema } from './selftest/tasks.js';

// The self-test is gone: nobody reads what comes out.
const abandoned = () => process.exit(1);
process.on('disconnect', abandoned);

const task = TaskSchema.parse(JSON.parse(process.argv[2] ?? ''));
runTask(task, process.env, (message) => process.send?.(message));
process.removeListener('disconnect', abandoned);
process.disconnect();
