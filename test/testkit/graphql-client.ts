/** What an endpoint really answered, for tests of what the typed client would not let through. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly data?: unknown;
    readonly errors?: readonly { readonly message: string; readonly extensions?: Readonly<Record<string, unknown>> }[];
  };
}

/** Sends any text as a GraphQL operation, with any headers. */
export async function rawGraphql(
  url: string,
  query: string,
  options: { variables?: unknown; token?: string; headers?: Readonly<Record<string, string>> } = {},
): Promise<RawAnswer> {
  const { variables, token, headers = { 'content-type': 'application/json' } } = options;
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text.startsWith('{') ? (JSON.parse(text) as RawAnswer['body']) : {} };
}
