import { WeightsFileError } from '../errors.js';
import { checkLimit, WEIGHTS_LIMITS } from '../limits.js';
import { PickleCursor } from './pickle-cursor.js';
import { findCallable, PickleDict, StorageRef, TensorRef } from './pickle-values.js';
import type { PickleCallable, PickleValue } from './pickle-values.js';

/** Longer numbers than the stream form's magic number do not occur, and large ones cost quadratic time. */
const MAX_LONG_BYTES = 64;

export interface ReadPickle {
  readonly value: PickleValue;
  /** Byte behind the pickle. */
  readonly end: number;
  /** All that it mentions, by key. */
  readonly storages: ReadonlyMap<string, StorageRef>;
}

/**
 * Reads one pickle (Python's Lib/pickletools.py documents the opcodes) and runs nothing: names outside the allow-list of
 * pickle-values.ts are refused where they are mentioned, calls are made by this class itself.
 *
 * @param begin where in `bytes` the pickle begins
 * @throws WeightsFileError `WEIGHTS_FORBIDDEN_PICKLE` naming what the pickle asks for, `WEIGHTS_MALFORMED`, `WEIGHTS_TRUNCATED`, `WEIGHTS_LIMIT`
 */
export function readPickle(bytes: Uint8Array, begin = 0): ReadPickle {
  const cursor = new PickleCursor(bytes, begin);
  const machine = new PickleMachine(cursor);
  for (;;) {
    const at = cursor.at;
    const opcode = cursor.uint8();
    if (opcode === STOP) return { value: machine.result(), end: cursor.at, storages: machine.storages };
    const run = OPCODES.get(opcode);
    if (!run) throw refused(`the pickle's opcode 0x${opcode.toString(16).padStart(2, '0')} at byte ${at}`);
    run(machine, cursor);
  }
}

class PickleMachine {
  readonly storages = new Map<string, StorageRef>();
  private stack: PickleValue[] = [];
  private readonly marked: PickleValue[][] = [];
  private readonly memo = new Map<number, PickleValue>();
  private made = 0;

  constructor(private readonly cursor: PickleCursor) {}

  push(value: PickleValue): void {
    checkLimit('pickleValues', ++this.made, 'values of the pickle');
    this.stack.push(value);
  }

  pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined) throw this.malformed('an operation on an empty stack');
    return value;
  }

  top(): PickleValue {
    const value = this.stack.at(-1);
    if (value === undefined) throw this.malformed('an operation on an empty stack');
    return value;
  }

  mark(): void {
    checkLimit('pickleValues', ++this.made, 'values of the pickle');
    this.marked.push(this.stack);
    this.stack = [];
  }

  /** Everything since the last mark. */
  popMark(): PickleValue[] {
    const items = this.stack;
    const below = this.marked.pop();
    if (!below) throw this.malformed('a mark that was never set');
    this.stack = below;
    return items;
  }

  /** The upper two, the lower one first. */
  popPair(): [PickleValue, PickleValue] {
    const upper = this.pop();
    return [this.pop(), upper];
  }

  popTuple(length: number): void {
    const items: PickleValue[] = [];
    for (let i = 0; i < length; i++) items.unshift(this.pop());
    this.push(items);
  }

  put(index: number): void {
    this.memo.set(index, this.top());
  }

  memoize(): void {
    this.put(this.memo.size);
  }

  get(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.malformed(`memo entry ${index}`);
    this.push(value);
  }

  append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.malformed('an append to what is no list');
    for (const item of items) list.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof PickleDict) || items.length % 2 !== 0) throw this.malformed('an item for what is no dictionary');
    this.fill(dict, items);
  }

  pushDict(items: readonly PickleValue[]): void {
    if (items.length % 2 !== 0) throw this.malformed('a dictionary with a key but no value');
    const dict = new PickleDict();
    this.fill(dict, items);
    this.push(dict);
  }

  pushGlobal(module: PickleValue, name: PickleValue): void {
    const callable = typeof module === 'string' && typeof name === 'string' ? findCallable(module, name) : null;
    if (!callable) throw refused(`the pickle asks for "${String(module)}.${String(name)}"`);
    this.push(callable);
  }

  /** Attributes of an `OrderedDict` (PyTorch's `_metadata`) say nothing about tensors; nothing else has any. */
  build(): void {
    this.pop();
    if (!(this.top() instanceof PickleDict)) throw refused('the pickle sets the state of an object');
  }

  reduce(): void {
    const args = this.pop();
    const callable = this.pop();
    if (!isCallable(callable) || callable.kind === 'storage-class' || !Array.isArray(args))
      throw refused('the pickle calls what is no function');
    this.push(callable.kind === 'ordered-dict' ? this.orderedDict(args) : this.tensor(args));
  }

  /** PyTorch's only use: `('storage', class, key, device, elements[, view])`. */
  persistentId(): void {
    const id = this.pop();
    const [tag, storage, key, , length, view] = Array.isArray(id) ? id : [];
    if (tag !== 'storage' || !isCallable(storage) || storage.kind !== 'storage-class' || typeof key !== 'string' || !isCount(length)) {
      throw this.malformed('a persistent id that is no storage');
    }
    if (view !== undefined && view !== null) {
      throw new WeightsFileError('WEIGHTS_UNSUPPORTED', { value: `a view of storage "${key}"`, rule: 'whole storages are read' });
    }
    const known = this.storages.get(key) ?? new StorageRef(key, storage.dtype, length);
    if (known.dtype !== storage.dtype || known.length !== length) throw this.malformed(`two different storages "${key}"`);
    this.storages.set(key, known);
    this.push(known);
  }

  result(): PickleValue {
    const value = this.pop();
    if (this.stack.length > 0 || this.marked.length > 0) throw this.malformed('values left on the stack');
    return value;
  }

  malformed(value: string): WeightsFileError {
    return new WeightsFileError('WEIGHTS_MALFORMED', {
      value: `${value}, before byte ${this.cursor.at}`,
      rule: 'a pickle does not do this',
    });
  }

  /** Without arguments, or as Python 2 wrote it: with a list of pairs. */
  private orderedDict([pairs, ...rest]: readonly PickleValue[]): PickleDict {
    const dict = new PickleDict();
    if (pairs !== undefined && (!Array.isArray(pairs) || rest.length > 0))
      throw this.malformed('an OrderedDict of something else than pairs');
    for (const pair of pairs ?? []) {
      if (!Array.isArray(pair) || pair.length !== 2) throw this.malformed('an OrderedDict of something else than pairs');
      this.fill(dict, pair);
    }
    return dict;
  }

  /** `(storage, offset, shape, strides, …)`; the rest is about gradients. */
  private tensor([storage, offset, shape, strides]: readonly PickleValue[]): TensorRef {
    if (!(storage instanceof StorageRef) || !isCount(offset) || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length) {
      throw this.malformed(`a tensor without storage, offset, shape and strides, from 0 and of at most ${WEIGHTS_LIMITS.rank} dimensions`);
    }
    return new TensorRef(storage, offset, shape, strides);
  }

  private fill(dict: PickleDict, items: readonly PickleValue[]): void {
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'bigint')
        throw this.malformed('a key that is no text and no number');
      // Pairs may come from the memo any number of times, so they are counted here.
      checkLimit('pickleValues', ++this.made, 'values of the pickle');
      dict.items.set(key, items[i + 1] ?? null);
    }
  }
}

function refused(value: string): WeightsFileError {
  return new WeightsFileError('WEIGHTS_FORBIDDEN_PICKLE', { value, rule: 'a weight file may hold tensors and plain containers only' });
}

function isCallable(value: PickleValue | undefined): value is PickleCallable {
  return typeof value === 'object' && value !== null && 'kind' in value;
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Longer lists than a shape may have are not walked: one list may be the shape of very many tensors. */
function isCounts(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.length <= WEIGHTS_LIMITS.rank && value.every(isCount);
}

function decimal(text: string, machine: PickleMachine): number | boolean {
  if (text === '00' || text === '01') return text === '01';
  const value = Number(text.replace(/L$/, ''));
  if (!Number.isSafeInteger(value)) throw machine.malformed(`the number "${text.slice(0, 40)}"`);
  return value;
}

function long(cursor: PickleCursor, length: number): number | bigint {
  if (length > MAX_LONG_BYTES) {
    throw new WeightsFileError('WEIGHTS_LIMIT', { value: `a number of ${length} bytes`, rule: `numbers have at most ${MAX_LONG_BYTES}` });
  }
  return cursor.long(length);
}

const STOP = 0x2e;

type Opcode = readonly [code: string | number, run: (machine: PickleMachine, cursor: PickleCursor) => void];

/** Opcodes that load plain data, containers, the memo, and the three that PyTorch's tensors need: global, reduce, persistent id. */
const OPCODE_TABLE: readonly Opcode[] = [
  [0x80, (_, c) => void c.uint8()], // PROTO
  [0x95, (_, c) => void c.skip(8)], // FRAME
  ['N', (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  ['I', (m, c) => m.push(decimal(c.line(), m))],
  ['L', (m, c) => m.push(decimal(c.line(), m))],
  ['J', (m, c) => m.push(c.int32())],
  ['K', (m, c) => m.push(c.uint8())],
  ['M', (m, c) => m.push(c.uint16())],
  [0x8a, (m, c) => m.push(long(c, c.uint8()))], // LONG1
  [0x8b, (m, c) => m.push(long(c, c.uint32()))], // LONG4
  ['G', (m, c) => m.push(c.float64BigEndian())],
  ['T', (m, c) => m.push(c.text(c.uint32(), 'latin1'))],
  ['U', (m, c) => m.push(c.text(c.uint8(), 'latin1'))],
  ['X', (m, c) => m.push(c.text(c.uint32()))],
  [0x8c, (m, c) => m.push(c.text(c.uint8()))], // SHORT_BINUNICODE
  [0x8d, (m, c) => m.push(c.text(c.uint64()))], // BINUNICODE8
  ['(', (m) => m.mark()],
  ['0', (m) => void m.pop()],
  ['1', (m) => void m.popMark()],
  ['2', (m) => m.push(m.top())],
  [')', (m) => m.push([])],
  [']', (m) => m.push([])],
  ['}', (m) => m.pushDict([])],
  ['t', (m) => m.push(m.popMark())],
  ['l', (m) => m.push(m.popMark())],
  ['d', (m) => m.pushDict(m.popMark())],
  [0x85, (m) => m.popTuple(1)],
  [0x86, (m) => m.popTuple(2)],
  [0x87, (m) => m.popTuple(3)],
  ['a', (m) => m.append([m.pop()])],
  ['e', (m) => m.append(m.popMark())],
  ['s', (m) => m.setItems(m.popPair())],
  ['u', (m) => m.setItems(m.popMark())],
  ['g', (m, c) => m.get(Number(c.line()))],
  ['h', (m, c) => m.get(c.uint8())],
  ['j', (m, c) => m.get(c.uint32())],
  ['p', (m, c) => m.put(Number(c.line()))],
  ['q', (m, c) => m.put(c.uint8())],
  ['r', (m, c) => m.put(c.uint32())],
  [0x94, (m) => m.memoize()],
  ['c', (m, c) => m.pushGlobal(c.line(), c.line())],
  [0x93, (m) => m.pushGlobal(...m.popPair())], // STACK_GLOBAL
  ['R', (m) => m.reduce()],
  ['b', (m) => m.build()],
  ['Q', (m) => m.persistentId()],
];
const OPCODES = new Map(OPCODE_TABLE.map(([code, run]) => [typeof code === 'string' ? code.charCodeAt(0) : code, run]));
