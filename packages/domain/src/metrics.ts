import { z } from 'zod';

/** JSON and most BI tools have no NaN: a value that is not finite travels as null with its kind. */
export const METRIC_KINDS = ['FINITE', 'NAN', 'POS_INF', 'NEG_INF'] as const;
export type MetricKind = (typeof METRIC_KINDS)[number];

/** A measured number of a run, `train/loss` or `val/accuracy`; its step is that of the event that carries it. */
export const MetricSchema = z
  .object({
    name: z.string().regex(/^[a-z0-9]+(?:[/_.-][a-z0-9]+)*$/i, 'a metric name is words joined by / _ . or -, for example val/accuracy'),
    value: z.number().nullable(),
    kind: z.enum(METRIC_KINDS),
  })
  .refine((m) => (m.kind === 'FINITE') === (m.value !== null), 'value is null exactly when kind is not FINITE');
export type Metric = z.infer<typeof MetricSchema>;

/** A metric of any float, also one that is not finite. */
export function metric(name: string, value: number): Metric {
  if (Number.isFinite(value)) return { name, value, kind: 'FINITE' };
  if (Number.isNaN(value)) return { name, value: null, kind: 'NAN' };
  return { name, value: null, kind: value > 0 ? 'POS_INF' : 'NEG_INF' };
}
