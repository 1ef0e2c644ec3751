import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import type { GraphQLError, ParseOptions, ValidationContext, ValidationRule } from 'graphql';
import { costLimit } from './cost-limit.js';

/** Bytes of one HTTP body or WebSocket message; 500 files of addUploadFiles with long names fit in. */
export const MAX_REQUEST_BYTES = 2 * 1024 * 1024;

/** Keeps parsing cheap: repeated fields and directives need no alias and no depth. */
export const PARSE_OPTIONS: ParseOptions = { maxTokens: 20_000 };

/** Reported like any other validation error; thrown, it would abort the validation as if it had failed itself. */
const REPORT = {
  propagateOnRejection: false,
  onReject: [(context: ValidationContext | null, error: GraphQLError) => context?.reportError(error)],
};

/** What one operation may ask for, over HTTP and WebSocket alike. */
export const LIMIT_RULES: ValidationRule[] = [
  maxDepthRule({ n: 10, flattenFragments: true, ...REPORT }),
  maxAliasesRule({ n: 30, ...REPORT }),
  costLimit(300_000),
];
