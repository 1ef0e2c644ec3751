import type { RunEvent } from '@roentgen/client';

/** A number for people: four digits that mean something. */
const short = (value: number): string => String(Number(value.toPrecision(4)));

const NON_FINITE = { NAN: 'NaN', POS_INF: '+∞', NEG_INF: '−∞', FINITE: '' } as const;

/** `val/loss 0.5123, val/accuracy 0.75` */
export function describeMetrics(metrics: RunEvent['metrics']): string {
  return metrics.map(({ name, value, kind }) => `${name} ${value == null ? NON_FINITE[kind] : short(value)}`).join(', ');
}

/** One event as a line of words. */
export function describeEvent(event: RunEvent): string {
  const place = [event.epoch == null ? '' : `epoch ${event.epoch}`, event.step == null ? '' : `step ${event.step}`]
    .filter((part) => part !== '')
    .join(' ');
  const words = [event.failureCode ?? '', event.message ?? '', describeMetrics(event.metrics)].filter((part) => part !== '').join('; ');
  return [String(event.sequence).padStart(5), event.kind.padEnd(16), place, words].filter((part) => part !== '').join('  ');
}
