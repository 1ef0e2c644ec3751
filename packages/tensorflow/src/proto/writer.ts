/** Wire types of the protocol-buffer encoding that are used here. */
const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;

const utf8 = new TextEncoder();

/**
 * Writes protocol-buffer messages (https://protobuf.dev/programming-guides/encoding). Write only: nothing here reads one.
 * Large byte fields are kept by reference until `finish`, so a graph with big constants is copied once.
 */
export class ProtoWriter {
  private readonly chunks: Uint8Array[] = [];
  private byteLength = 0;

  /** int32, int64, uint64, bool and enum fields. Negative numbers take ten bytes, as the format says. */
  int(field: number, value: number | bigint): this {
    return this.tag(field, VARINT).varint(value);
  }

  bool(field: number, value: boolean): this {
    return this.int(field, value ? 1 : 0);
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.tag(field, FIXED_32).append(bytes);
  }

  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.tag(field, LENGTH_DELIMITED).varint(value.byteLength).append(value);
  }

  message(field: number, value: ProtoWriter): this {
    this.tag(field, LENGTH_DELIMITED).varint(value.byteLength);
    for (const chunk of value.chunks) this.append(chunk);
    return this;
  }

  finish(): Uint8Array {
    const all = new Uint8Array(this.byteLength);
    let offset = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return all;
  }

  private tag(field: number, wireType: number): this {
    return this.varint(field * 8 + wireType);
  }

  private varint(value: number | bigint): this {
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    while (rest > 127n) {
      bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    return this.append(Uint8Array.from(bytes));
  }

  private append(bytes: Uint8Array): this {
    this.chunks.push(bytes);
    this.byteLength += bytes.byteLength;
    return this;
  }
}
