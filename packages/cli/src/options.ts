import { InvalidArgumentError, Option } from 'commander';

/** Parser of a flag that is a whole number within bounds. */
export const wholeNumber =
  (bounds: { min: number; max: number }) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= bounds.min && value <= bounds.max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${bounds.min} to ${bounds.max}.`);
  };

/** Parser of a flag that is a number above 0. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected a number above 0.');
}

/** Parser of a flag that is a number of at least 0. */
export function rangeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError('Expected a number of at least 0.');
}

export interface SplitFractions {
  readonly train: number;
  readonly val: number;
  readonly test: number;
}

/** Parser of `--fractions 0.7,0.15,0.15`: train, val, test. */
export function splitFractions(text: string): SplitFractions {
  const [train, val, test, ...rest] = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  const isShare = (share: number | undefined): share is number => share !== undefined && share >= 0 && share <= 1;
  if (rest.length > 0 || !isShare(train) || !isShare(val) || !isShare(test)) {
    throw new InvalidArgumentError('Expected three numbers from 0 to 1 for train, val and test, such as 0.7,0.15,0.15.');
  }
  const sum = train + val + test;
  if (Math.abs(sum - 1) > 1e-6) throw new InvalidArgumentError(`The three shares add up to ${Number(sum.toFixed(6))}, not to 1.`);
  if (train === 0) throw new InvalidArgumentError('The train share is 0: there would be nothing to learn from.');
  return { train, val, test };
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Parser of a flag that is a number of bytes, such as 60MiB. */
export const byteSize =
  (bounds: { min: number; max: number }) =>
  (text: string): number => {
    const [, number = '', unit = ''] = /^(\d+)(KiB|MiB|GiB)?$/.exec(text) ?? [];
    const bytes = number === '' ? NaN : Number(number) * (SIZE_UNITS[unit] ?? NaN);
    if (bytes >= bounds.min && bytes <= bounds.max) return bytes;
    throw new InvalidArgumentError(`Expected a size like 60MiB (KiB, MiB, GiB or bytes), from ${bounds.min} to ${bounds.max} bytes.`);
  };

/** `--limit` of a list. */
export const limit = (): Option => new Option('--limit <n>', 'rows at most').argParser(wholeNumber({ min: 1, max: 100 })).default(20);
