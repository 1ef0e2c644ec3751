import type { Footprint } from './footprint.js';

export interface Sample extends Footprint {
  readonly step: number;
}

/** What lies between the medians of the first and of the last part of the samples; one sample that was taken in a bad moment does not count. */
export interface Growth {
  readonly steps: number;
  readonly residentBytes: number;
  readonly handles: number;
  readonly sockets: number;
  readonly threads: number;
}

/** @param part of the samples at either end, above 0, up to 1/2 */
export function growthOf(samples: readonly Sample[], part = 1 / 2): Growth {
  const count = Math.max(1, Math.floor(samples.length * part));
  const between = (of: (sample: Sample) => number) => median(samples.slice(-count).map(of)) - median(samples.slice(0, count).map(of));
  return {
    steps: between(({ step }) => step),
    residentBytes: between(({ residentBytes }) => residentBytes),
    handles: between(({ handles }) => handles),
    sockets: between(({ sockets }) => sockets),
    threads: between(({ threads }) => threads),
  };
}

/** The middle of the values; NaN where there is none. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const MIB = 2 ** 20;

/** `@60 310 MiB 41 handles 12 threads, …` */
export const storyOf = (samples: readonly Sample[]): string =>
  samples
    .map(
      ({ step, residentBytes, handles, threads }) =>
        `@${step} ${Math.round(residentBytes / MIB)} MiB ${handles} handles ${threads} threads`,
    )
    .join(', ');
