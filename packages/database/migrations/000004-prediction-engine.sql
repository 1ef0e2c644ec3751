-- What computed a chunk's predictions, with its version: engines differ in the last digits. Null for chunks that were done before, and for inspections.
alter table chunks add column engine text;
