import {
  GraphQLError,
  Kind,
  getNamedType,
  getNullableType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  type ASTVisitor,
  type FieldNode,
  type GraphQLNamedType,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';

/** Arguments that say how many rows a field gives, with the most that each takes: counted where a variable hides the number. */
const PAGE_ARGUMENTS: Readonly<Record<string, number>> = { first: 500, maxPoints: 10_000 };
/** Rows of a list that has no such argument: attempts, checkpoints, the last value of each metric. */
const UNPAGED_ROWS = 10;

/**
 * Refuses an operation whose answer could have more than `maxValues` values: each selected field counts once per row of the lists around it. Counts
 * page sizes given by variables and by default, too, which a count of the query's text would miss.
 */
export function costLimit(maxValues: number): (context: ValidationContext) => ASTVisitor {
  return (context) => ({
    OperationDefinition(operation) {
      const root = context.getSchema().getRootType(operation.operation);
      const values = new CostCount(context).ofSelections(operation.selectionSet, root ?? undefined);
      if (values <= maxValues) return;
      context.reportError(
        new GraphQLError(
          `The answer could have ${values} values; at most ${maxValues} are given. Ask for fewer fields, or for smaller pages with first.`,
          { nodes: operation },
        ),
      );
    },
  });
}

class CostCount {
  private readonly fragments = new Map<string, number>();

  constructor(private readonly context: ValidationContext) {}

  ofSelections(selections: SelectionSetNode, parent: GraphQLNamedType | undefined): number {
    return selections.selections.reduce((sum, selection) => {
      switch (selection.kind) {
        case Kind.FIELD:
          return sum + this.ofField(selection, parent);
        case Kind.INLINE_FRAGMENT:
          return sum + this.ofSelections(selection.selectionSet, this.typeNamed(selection.typeCondition?.name.value) ?? parent);
        case Kind.FRAGMENT_SPREAD:
          return sum + this.ofFragment(selection.name.value);
      }
    }, 0);
  }

  private ofField(field: FieldNode, parent: GraphQLNamedType | undefined): number {
    const definition = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[field.name.value] : undefined;
    // Introspection is bounded by its depth; fields that do not exist are another rule's business.
    if (definition === undefined || field.selectionSet === undefined) return 1;
    const type = getNamedType(definition.type);
    const below = this.ofSelections(field.selectionSet, isCompositeType(type) ? type : undefined);
    const pages = definition.args.find((argument) => argument.name in PAGE_ARGUMENTS);
    if (pages !== undefined) return 1 + below * rowsOf(field, pages.name, pages.defaultValue);
    // The rows of a connection are counted by the field that it is the answer of.
    const isOwnList = isListType(getNullableType(definition.type)) && parent?.name.endsWith('Connection') !== true;
    return 1 + below * (isOwnList ? UNPAGED_ROWS : 1);
  }

  private ofFragment(name: string): number {
    const known = this.fragments.get(name);
    if (known !== undefined) return known;
    // While it is being counted a fragment costs nothing, so that one that contains itself ends; another rule refuses it.
    this.fragments.set(name, 0);
    const fragment = this.context.getFragment(name);
    const cost = fragment == null ? 0 : this.ofSelections(fragment.selectionSet, this.typeNamed(fragment.typeCondition.name.value));
    this.fragments.set(name, cost);
    return cost;
  }

  private typeNamed(name: string | undefined): GraphQLNamedType | undefined {
    return name === undefined ? undefined : this.context.getSchema().getType(name);
  }
}

function rowsOf(field: FieldNode, argumentName: string, defaultRows: unknown): number {
  const given = field.arguments?.find((argument) => argument.name.value === argumentName)?.value;
  if (given?.kind === Kind.INT) return Math.max(1, Number(given.value));
  if (given === undefined && typeof defaultRows === 'number') return defaultRows;
  return PAGE_ARGUMENTS[argumentName] ?? 1;
}
