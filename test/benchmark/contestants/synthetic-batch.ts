/** uint8[count]: the same bytes as peers/protocol.py: the finaliser "lowbias32" (Wellons 2018) of the index. */
export function pseudoRandomBytes(count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, index) => {
    let x = index;
    x ^= x >>> 16;
    x = Math.imul(x, 0x7feb352d);
    x ^= x >>> 15;
    x = Math.imul(x, 0x846ca68b);
    x ^= x >>> 16;
    return x & 255;
  });
}
