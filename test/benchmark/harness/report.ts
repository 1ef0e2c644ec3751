import type { Measured } from './measure.js';
import { median, medianRatio, rounded } from './statistics.js';

/** How steps become the figure of a case. */
export interface Figure {
  readonly unit: string;
  readonly better: 'lower' | 'higher';
  readonly ofStepMs: (stepMs: number) => number;
}

export const MS_PER_STEP: Figure = { unit: 'ms per step', better: 'lower', ofStepMs: (stepMs) => stepMs };

export function imagesPerSecond(imagesPerStep: number): Figure {
  return { unit: 'images/s', better: 'higher', ofStepMs: (stepMs) => (imagesPerStep / stepMs) * 1000 };
}

/** One line of `--json`. Records are by contestant: `ours` and the names of the peers. */
export interface CaseReport {
  readonly case: string;
  readonly unit: string;
  readonly better: 'lower' | 'higher';
  /** Median over the rounds of the median step of a round. */
  readonly ours: number;
  readonly peers: Readonly<Record<string, number>>;
  /** ours / the best peer; null without peers. */
  readonly ratioToBestPeer: number | null;
  /** Peer → median over the rounds of ours / peer in that round. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Largest resident size of the process. */
  readonly peakBytes: Readonly<Record<string, number>>;
  readonly buildSeconds: Readonly<Record<string, number>>;
  readonly firstStepSeconds: Readonly<Record<string, number>>;
  readonly rounds: number;
  readonly stepsPerRound: number;
  /** Ours per step, where it was measured: outside native calls, and in those that move data. */
  readonly javascriptMs?: number;
  readonly copyMs?: number;
}

/** The median step of each round, in the case's unit. */
export function figuresOf(measured: Measured, figure: Figure): readonly number[] {
  return measured.rounds.map(({ stepMs }) => figure.ofStepMs(median(stepMs)));
}

export function reportCase(name: string, figure: Figure, ours: Measured, peers: Readonly<Record<string, Measured>>): CaseReport {
  const ourFigures = figuresOf(ours, figure);
  const peerMedians = mapValues(peers, (peer) => median(figuresOf(peer, figure)));
  const best = figure.better === 'lower' ? Math.min(...Object.values(peerMedians)) : Math.max(...Object.values(peerMedians));
  const all = { ours, ...peers };
  const javascriptMs = ours.rounds.flatMap((round) => round.javascriptMs ?? []);
  const copyMs = ours.rounds.flatMap((round) => round.copyMs ?? []);
  return {
    case: name,
    unit: figure.unit,
    better: figure.better,
    ours: rounded(median(ourFigures)),
    peers: mapValues(peerMedians, rounded),
    ratioToBestPeer: Number.isFinite(best) ? rounded(median(ourFigures) / best) : null,
    ratios: mapValues(peers, (peer) => rounded(medianRatio(ourFigures, figuresOf(peer, figure)))),
    peakBytes: mapValues(all, ({ rounds }) => Math.max(...rounds.map(({ peakBytes }) => peakBytes))),
    buildSeconds: mapValues(all, ({ buildSeconds }) => rounded(buildSeconds)),
    firstStepSeconds: mapValues(all, ({ firstStepSeconds }) => rounded(firstStepSeconds)),
    rounds: ours.rounds.length,
    stepsPerRound: ours.rounds[0]?.stepMs.length ?? 0,
    ...(javascriptMs.length > 0 ? { javascriptMs: rounded(median(javascriptMs)) } : {}),
    ...(copyMs.length > 0 ? { copyMs: rounded(median(copyMs)) } : {}),
  };
}

/** The report as people read it. */
export function formatCase(report: CaseReport): string {
  const { unit, better, rounds, stepsPerRound } = report;
  const rows = Object.entries({ ours: report.ours, ...report.peers }).map(([name, value]) => [
    name,
    String(value),
    report.ratios[name] === undefined ? '' : report.ratios[name].toFixed(2),
    `${Math.round((report.peakBytes[name] ?? Number.NaN) / 1e6)} MB`,
    `${report.buildSeconds[name]} s`,
    `${report.firstStepSeconds[name]} s`,
  ]);
  const table = [['', unit, 'ours / it', 'peak memory', 'build', 'first step'], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
  );
  const javascript =
    report.javascriptMs === undefined ? [] : [`JavaScript ${report.javascriptMs} ms and copies ${report.copyMs} ms per step of ours`];
  return [`${report.case} · ${better} is better · medians of ${rounds} rounds of ${stepsPerRound} steps`, ...lines, ...javascript].join(
    '\n',
  );
}

function mapValues<V, W>(record: Readonly<Record<string, V>>, map: (value: V) => W): Record<string, W> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
