// A thread does not inherit the TypeScript loader that `node --import tsx` gave its process.
import { register } from 'tsx/esm/api';

register();
await import('./network-thread.ts');
