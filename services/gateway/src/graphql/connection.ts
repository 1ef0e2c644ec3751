// Before any decorator runs.
import 'reflect-metadata';
import { ArgsType, Field, Int, ObjectType, type ClassType } from 'type-graphql';
import { InvalidInputError } from '@roentgen/domain';
import type { Page, PageKey } from '@roentgen/database';
import { decodeCursor, encodeCursor } from './cursor.js';
import { SafeInt } from './scalars.js';

export const MAX_PAGE_SIZE = 500;
const DEFAULT_PAGE_SIZE = 50;

@ArgsType()
export class PageArgs {
  @Field(() => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: `How many, 1 to ${MAX_PAGE_SIZE}.` })
  first!: number;

  @Field(() => String, { nullable: true, description: '`endCursor` of the page before; left out for the first page.' })
  after?: string | null;
}

@ObjectType()
export class PageInfo {
  @Field(() => Boolean) hasNextPage!: boolean;
  @Field(() => String, { nullable: true, description: 'Null for an empty page.' }) endCursor!: string | null;
}

export interface Edge<T> {
  readonly cursor: string;
  readonly node: T;
}

/** What a list resolver returns; the total is counted only when it is asked for. */
export interface Connection<T> {
  readonly nodes: readonly T[];
  readonly edges: readonly Edge<T>[];
  readonly pageInfo: PageInfo;
  readonly count: () => Promise<number>;
}

/** The connection type of a node type: flat `nodes` for tables, `edges` for clients that follow Relay. */
export function connectionType<T extends object>(node: ClassType<T>, name: string): ClassType<Connection<T>> {
  @ObjectType(`${name}Edge`)
  class NodeEdge {
    @Field(() => String) cursor!: string;
    @Field(() => node) node!: T;
  }
  @ObjectType(`${name}Connection`)
  class NodeConnection {
    @Field(() => [node]) nodes!: T[];
    @Field(() => [NodeEdge]) edges!: NodeEdge[];
    @Field(() => PageInfo) pageInfo!: PageInfo;
    count!: () => Promise<number>;

    @Field(() => SafeInt, { description: 'Counted only when it is selected.' })
    totalCount(): Promise<number> {
      return this.count();
    }
  }
  return NodeConnection;
}

/** @throws InvalidInputError for a page size out of bounds or a cursor of another list */
export function pageRequest(args: PageArgs): { limit: number; after: PageKey | null } {
  return { limit: pageSize(args.first), after: args.after == null ? null : decodeCursor(args.after) };
}

/** @throws InvalidInputError */
export function pageSize(first: number, field = 'first', max = MAX_PAGE_SIZE): number {
  if (first >= 1 && first <= max) return first;
  throw new InvalidInputError(`${field} ${first} is not from 1 to ${max}. Ask for at most ${max} and go on with after.`, [
    { field, message: `must be from 1 to ${max}, got ${first}` },
  ]);
}

/** A page of rows as GraphQL gives it. */
export function toConnection<Row, Node>(page: Page<Row>, toNode: (row: Row) => Node, count: () => Promise<number>): Connection<Node> {
  const edges = page.items.map(({ key, item }) => ({ cursor: encodeCursor(key), node: toNode(item) }));
  return {
    edges,
    nodes: edges.map((edge) => edge.node),
    pageInfo: { hasNextPage: page.hasMore, endCursor: edges.at(-1)?.cursor ?? null },
    count,
  };
}
