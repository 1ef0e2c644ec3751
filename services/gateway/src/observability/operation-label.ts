import { Kind, getOperationAST, type DocumentNode, type SelectionSetNode } from 'graphql';

export interface OperationLabel {
  readonly type: 'query' | 'mutation' | 'subscription' | 'unknown';
  /** A root field of the schema; `several` when there are more, `introspection` for the schema's own, `unknown` for what was not understood. */
  readonly field: string;
}

/** Until an operation is known to be valid, its words are the client's, and there is no end to them. */
export const UNKNOWN_OPERATION: OperationLabel = { type: 'unknown', field: 'unknown' };

/** What a valid operation asks for, in words of which there are as many as the schema has root fields. */
export function operationLabel(document: DocumentNode, operationName: string | null | undefined): OperationLabel {
  const operation = getOperationAST(document, operationName);
  if (!operation) return UNKNOWN_OPERATION;
  const names = new Set(rootFields(document, operation.selectionSet).map((name) => (name.startsWith('__') ? 'introspection' : name)));
  const [only, second] = names;
  return { type: operation.operation, field: only === undefined || second !== undefined ? 'several' : only };
}

/** Aliases and fragments do not hide a field. A valid document has no cycles of fragments. */
function rootFields(document: DocumentNode, { selections }: SelectionSetNode): string[] {
  return selections.flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection.name.value];
    if (selection.kind === Kind.INLINE_FRAGMENT) return rootFields(document, selection.selectionSet);
    const { value } = selection.name;
    const fragment = document.definitions.find((each) => each.kind === Kind.FRAGMENT_DEFINITION && each.name.value === value);
    return fragment?.kind === Kind.FRAGMENT_DEFINITION ? rootFields(document, fragment.selectionSet) : [];
  });
}
