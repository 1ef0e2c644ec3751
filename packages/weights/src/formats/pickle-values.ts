import type { ElementType } from '../named-tensor.js';

/** What the restricted pickle reader can build: plain data, and references into a file's tensor storages. */
export type PickleValue = null | boolean | number | bigint | string | PickleValue[] | PickleDict | PickleCallable | StorageRef | TensorRef;

/** `dict` and `OrderedDict`. Keys are strings or whole numbers, the only ones that occur in state dictionaries. */
export class PickleDict {
  readonly items = new Map<string | number | bigint, PickleValue>();
}

/** The few names that a pickle may mention. */
export type PickleCallable =
  { readonly kind: 'ordered-dict' } | { readonly kind: 'rebuild-tensor' } | { readonly kind: 'storage-class'; readonly dtype: ElementType };

/** Bytes of the file that one or several tensors look at. */
export class StorageRef {
  constructor(
    readonly key: string,
    readonly dtype: ElementType,
    /** Number of elements. */
    readonly length: number,
  ) {}
}

/** A strided view of a storage; offset and strides count elements. */
export class TensorRef {
  constructor(
    readonly storage: StorageRef,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

const STORAGE_CLASSES: Readonly<Record<string, ElementType>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** The allow-list; null for every other name. */
export function findCallable(module: string, name: string): PickleCallable | null {
  if (module === 'collections' && name === 'OrderedDict') return { kind: 'ordered-dict' };
  if (module === 'torch._utils' && name === '_rebuild_tensor_v2') return { kind: 'rebuild-tensor' };
  const dtype = module === 'torch' && Object.hasOwn(STORAGE_CLASSES, name) ? STORAGE_CLASSES[name] : undefined;
  return dtype ? { kind: 'storage-class', dtype } : null;
}
