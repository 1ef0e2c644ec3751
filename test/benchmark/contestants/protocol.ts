import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Ready, Round } from '../harness/contestant.js';

/** What one step took besides native computation, ms. */
export interface StepTimes {
  readonly javascriptMs: number;
  readonly copyMs: number;
}

export type Step = () => StepTimes | void | Promise<void>;

/** Largest resident size that this process ever had. */
function peakBytes(): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  if (kilobytes === undefined) throw new Error('/proc/self/status has no VmHWM');
  return Number(kilobytes) * 1024;
}

const seconds = (sinceMs: number): number => (performance.now() - sinceMs) / 1000;
const answer = (message: Ready | Round): void => console.log(JSON.stringify(message));

async function runRound(step: Step, steps: number): Promise<Round> {
  await step(); // The others had the caches in between.
  const stepMs: number[] = [];
  const times: StepTimes[] = [];
  for (let i = 0; i < steps; i++) {
    const startedAt = performance.now();
    const found = await step();
    stepMs.push(performance.now() - startedAt);
    if (found) times.push(found);
  }
  const round = { stepMs, peakBytes: peakBytes() };
  if (times.length === 0) return round;
  return { ...round, javascriptMs: times.map((time) => time.javascriptMs), copyMs: times.map((time) => time.copyMs) };
}

/** Our half of the line protocol of harness/contestant.ts. `prepare` builds everything and returns what makes one step. */
export async function serve<S extends z.ZodType>(setupSchema: S, prepare: (setup: z.output<S>) => Step | Promise<Step>): Promise<void> {
  const setup = setupSchema.parse(JSON.parse(process.argv[2] ?? ''));
  const startedAt = performance.now();
  const step = await prepare(setup);
  const buildSeconds = seconds(startedAt);
  const builtAt = performance.now();
  await step();
  answer({ buildSeconds, firstStepSeconds: seconds(builtAt) });
  const Order = z.object({ steps: z.number().int().positive() });
  for await (const line of createInterface({ input: process.stdin })) answer(await runRound(step, Order.parse(JSON.parse(line)).steps));
}
