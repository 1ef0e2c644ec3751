import type { Server } from 'node:http';
import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer';
import type { GraphQLSchema } from 'graphql';
import type { Logger } from '@roentgen/logger';
import type { RequestContext } from '../graphql/request-context.js';
import { presentError } from './errors.js';
import { LIMIT_RULES, PARSE_OPTIONS } from './limits.js';

const STOP_GRACE_PERIOD_MS = 5_000;

/** Queries and mutations over HTTP. Everyone who gets here is authenticated, so introspection is open. */
export function createApollo(schema: GraphQLSchema, httpServer: Server, logger: Logger): ApolloServer<RequestContext> {
  return new ApolloServer<RequestContext>({
    schema,
    introspection: true,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    validationRules: LIMIT_RULES,
    parseOptions: PARSE_OPTIONS,
    logger,
    plugins: [
      // The default page loads scripts from another host.
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginDrainHttpServer({ httpServer, stopGracePeriodMillis: STOP_GRACE_PERIOD_MS }),
      observe(),
      presentErrors(logger),
    ],
  });
}

/** Before presentErrors: it sees errors as they were thrown. */
function observe(): ApolloServerPlugin<RequestContext> {
  return {
    requestDidStart: () =>
      Promise.resolve({
        didResolveOperation({ document, operationName, contextValue }) {
          contextValue.operation.resolved(document, operationName);
          return Promise.resolve();
        },
        willSendResponse({ response, errors, contextValue }) {
          const data = response.body.kind === 'single' ? response.body.singleResult.data : null;
          contextValue.operation.answered({ data, errors });
          return Promise.resolve();
        },
      }),
  };
}

/** `formatError` does not know which request it is about; this does. */
function presentErrors(logger: Logger): ApolloServerPlugin<RequestContext> {
  return {
    requestDidStart: () =>
      Promise.resolve({
        willSendResponse({ response, errors, contextValue }) {
          if (response.body.kind === 'single' && errors !== undefined && errors.length > 0) {
            response.body.singleResult.errors = errors.map((error) => presentError(error, { requestId: contextValue.requestId, logger }));
          }
          return Promise.resolve();
        },
      }),
  };
}
