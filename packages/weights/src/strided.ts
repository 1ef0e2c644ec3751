/** Elements of a larger vector; offset and strides count elements. */
export interface StridedView {
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Row-major copy of a view that lies within `elements`. */
export function copyStrided(elements: Float32Array, { offset, shape, strides }: StridedView): Float32Array {
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  if (isContiguous(shape, strides)) return elements.slice(offset, offset + count);
  const values = new Float32Array(count);
  const index = shape.map(() => 0);
  let source = offset;
  for (let i = 0; i < count; i++) {
    values[i] = elements[source] ?? 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] ?? 0;
      const next = (index[axis] ?? 0) + 1;
      source += stride;
      if (next < (shape[axis] ?? 0)) {
        index[axis] = next;
        break;
      }
      index[axis] = 0;
      source -= next * stride;
    }
  }
  return values;
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const dimension = shape[axis] ?? 0;
    if (dimension !== 1 && strides[axis] !== expected) return false;
    expected *= dimension;
  }
  return true;
}

/** Strides of a row-major tensor. */
function rowMajorStrides(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, dimension) => product * dimension, 1));
}

/** @param axes for each axis of the result, which one of the input it is; as long as `shape` */
export function transpose(data: Float32Array, shape: readonly number[], axes: readonly number[]): { shape: number[]; data: Float32Array } {
  const strides = rowMajorStrides(shape);
  const view = { offset: 0, shape: axes.map((axis) => shape[axis] ?? 0), strides: axes.map((axis) => strides[axis] ?? 0) };
  return { shape: view.shape, data: copyStrided(data, view) };
}
