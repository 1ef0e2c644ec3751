import { GraphQLDateTime, GraphQLSafeInt } from 'graphql-scalars';

/** RFC 3339, in UTC. */
export const DateTime = GraphQLDateTime;
/** Whole numbers up to 2^53 − 1: bytes, counts, sequences, steps. */
export const SafeInt = GraphQLSafeInt;
