/** Writes schema.graphql from the gateway's code; `--check` writes nothing and fails when the file is not what the code gives. */
import { join } from 'node:path';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { buildGatewaySchema } from '@roentgen/gateway';
import { ROOT, emit } from './emitted-file.js';

const HEADER = '# Emitted from services/gateway by `npm run schema:emit`: change the code, not this file.\n\n';

emit(join(ROOT, 'schema.graphql'), `${HEADER}${printSchema(lexicographicSortSchema(await buildGatewaySchema()))}\n`, {
  command: 'npm run schema:emit',
});
