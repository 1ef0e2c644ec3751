import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { type DocumentNode, Kind, OperationTypeNode, print } from 'graphql';
import { ApiError, UnexpectedResponseError, UnreachableError } from './errors.js';
import { type RetryPolicy, RETRY_POLICY, withRetries } from './retry.js';

export interface HttpTransportOptions {
  readonly url: string;
  readonly token: string;
  readonly timeoutMs: number;
  readonly retryPolicy?: RetryPolicy;
}

/** What GraphQL over HTTP answers. */
interface GraphQLAnswer {
  readonly data: unknown;
  readonly errors: readonly unknown[];
}

/** Also when the gateway is there and its database is not. */
const isTransient = (error: unknown): boolean => error instanceof UnreachableError || (error instanceof ApiError && error.isPassing);

const BUSY_STATUSES = [429, 502, 503, 504];

/** One operation over HTTP. Retried only where doing it twice is doing it once: queries, and mutations with an idempotency key. */
export async function executeOverHttp<Data, Variables>(
  options: HttpTransportOptions,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Data> {
  const attempt = () => send(options, document, variables, signal);
  if (!isRepeatable(document, variables)) return attempt();
  return withRetries(attempt, isTransient, options.retryPolicy ?? RETRY_POLICY, signal);
}

async function send<Data, Variables>(
  { url, token, timeoutMs }: HttpTransportOptions,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Data> {
  const timeout = AbortSignal.timeout(timeoutMs);
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: print(document), variables, operationName: operationOf(document)?.name?.value }),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    const reason = timeout.aborted ? `no answer within ${timeoutMs} ms` : connectionProblem(error);
    throw new UnreachableError(
      `Cannot reach the API at ${url}: ${reason}. Is it running there? Set another address with --url or ROENTGEN_URL.`,
      { cause: error },
    );
  }
  if (BUSY_STATUSES.includes(response.status)) throw new UnreachableError(`The API at ${url} is not ready: HTTP ${response.status}.`);
  return dataOf<Data>(url, response, text);
}

/** The data of an answer. @throws ApiError, UnexpectedResponseError */
function dataOf<Data>(url: string, response: Response, text: string): Data {
  const answer = parseAnswer(text);
  if (answer === null) {
    if (response.status === 401 || response.status === 403)
      throw new ApiError(response.status === 401 ? 'UNAUTHENTICATED' : 'FORBIDDEN', refusalText(text));
    throw new UnexpectedResponseError(
      `${url} answered HTTP ${response.status} without GraphQL: ${JSON.stringify(text.slice(0, 120))}. The address must end in /graphql.`,
    );
  }
  const [first] = answer.errors;
  if (first !== undefined) throw apiErrorOf(first, response.headers.get('x-request-id'));
  return answer.data as Data;
}

/** An entry of a GraphQL answer's `errors` as an exception. */
export function apiErrorOf(error: unknown, fallbackRequestId: string | null = null): ApiError {
  const extensions = property(error, 'extensions');
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return new ApiError(
    text(property(extensions, 'code')) ?? 'UNKNOWN',
    text(property(error, 'message')) ?? 'The API gave no reason.',
    text(property(extensions, 'requestId')) ?? fallbackRequestId,
  );
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function parseAnswer(text: string): GraphQLAnswer | null {
  try {
    const answer: unknown = JSON.parse(text);
    const errors = property(answer, 'errors');
    if (!Array.isArray(errors) && property(answer, 'data') === undefined) return null;
    return { data: property(answer, 'data'), errors: Array.isArray(errors) ? errors : [] };
  } catch {
    return null;
  }
}

function refusalText(text: string): string {
  return text.trim() === '' ? 'The API wants a token: set ROENTGEN_TOKEN or --token.' : text.trim().slice(0, 300);
}

function operationOf(document: DocumentNode) {
  return document.definitions.find((definition) => definition.kind === Kind.OPERATION_DEFINITION);
}

function isRepeatable(document: DocumentNode, variables: unknown): boolean {
  if (operationOf(document)?.operation !== OperationTypeNode.MUTATION) return true;
  const input = typeof variables === 'object' && variables !== null && 'input' in variables ? variables.input : undefined;
  return typeof input === 'object' && input !== null && 'idempotencyKey' in input && typeof input.idempotencyKey === 'string';
}

/** fetch says only "fetch failed"; the reason is in its cause. */
export function connectionProblem(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof AggregateError) return connectionProblem(cause.errors[0]);
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
