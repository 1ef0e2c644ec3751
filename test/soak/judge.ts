import { growthOf, type Sample } from '../testkit/faults/flatness.js';

const MIB = 2 ** 20;

export const PROCESSES = ['worker', 'compute', 'coordinator', 'gateway'] as const;
export type ProcessName = (typeof PROCESSES)[number];

/** What all processes share. */
export interface SharedSample {
  readonly step: number;
  readonly consumers: readonly string[];
  /** Connections to Postgres that nobody uses and nobody closes. */
  readonly forgottenConnections: number;
}

export interface Observations {
  readonly processes: Readonly<Record<ProcessName, readonly Sample[]>>;
  readonly shared: readonly SharedSample[];
  /** Of the gateway, before the first subscriber came and after the last one had gone. */
  readonly gatewayHandles: { readonly before: number; readonly after: number };
}

export interface Judgement {
  readonly name: string;
  readonly passed: boolean;
  /** What was found, and the limit. */
  readonly found: string;
}

/** Caches, allocators and compiled code have settled after this part of the steps. */
const SETTLED = 0.3;
/** Compared are the first and the last third of what is left. */
const PART = 1 / 3;
/** The garbage collector's leisure. A batch that is kept at each step, or a subscriber that is kept at each visit, is several times that. */
const LIMIT_BYTES = 48 * MIB;
/** Subscribers are on their way in and out at any moment. */
const LIMIT_HANDLES = { worker: 4, compute: 4, coordinator: 4, gateway: 40 } as const;
const LIMIT_THREADS = 1;
/** Connections that are kept for the next request. */
const LIMIT_HANDLES_LEFT = 8;

export function judge({ processes, shared, gatewayHandles }: Observations): Judgement[] {
  const left = gatewayHandles.after - gatewayHandles.before;
  return [
    ...PROCESSES.flatMap((name) => judgeProcess(name, settled(processes[name]))),
    ...judgeShared(settled(shared)),
    atMost('gateway: handles left by subscribers who have gone', left, LIMIT_HANDLES_LEFT),
  ];
}

function judgeProcess(name: ProcessName, samples: readonly Sample[]): Judgement[] {
  const growth = growthOf(samples, PART);
  return [
    atMost(`${name}: memory, MiB`, growth.residentBytes / MIB, LIMIT_BYTES / MIB),
    atMost(`${name}: handles`, growth.handles, LIMIT_HANDLES[name]),
    atMost(`${name}: threads`, growth.threads, LIMIT_THREADS),
  ];
}

function judgeShared(samples: readonly SharedSample[]): Judgement[] {
  const sets = new Set(samples.map(({ consumers }) => consumers.join(' ')));
  const forgotten = Math.max(...samples.map((sample) => sample.forgottenConnections));
  return [
    { name: 'JetStream consumers', passed: sets.size === 1, found: `${sets.size} different sets of consumers; 1 expected` },
    { name: 'connections to Postgres', passed: forgotten === 0, found: `${forgotten} that nobody uses and nobody closes; 0 expected` },
  ];
}

function settled<S extends { readonly step: number }>(samples: readonly S[]): S[] {
  const last = samples.at(-1)?.step ?? 0;
  return samples.filter(({ step }) => step >= last * SETTLED);
}

/** What is no number did not pass: nothing was measured. */
const atMost = (name: string, growth: number, limit: number): Judgement => ({
  name,
  passed: growth <= limit,
  found: `${growth >= 0 ? '+' : ''}${Math.round(growth * 10) / 10}; at most +${limit}`,
});
