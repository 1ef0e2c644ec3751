import type { ChunkWorkStore, FinishableJob } from '@roentgen/database';
import type { ObjectStore } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { objectKeys } from '@roentgen/storage';
import { predictionCsvHeader, predictionCsvLines } from './prediction-csv.js';

const JOBS_AT_ONCE = 10;
const ROWS_AT_ONCE = 5_000;

/** Ends prediction jobs whose chunks are done: writes their CSV, then says SUCCEEDED. A crash in between repeats it with the same bytes. */
export class PredictionFinisher {
  constructor(private readonly parts: { readonly work: ChunkWorkStore; readonly objects: ObjectStore; readonly logger: Logger }) {}

  async finishAll(): Promise<void> {
    for (const job of await this.parts.work.finishableJobs(JOBS_AT_ONCE)) await this.finish(job);
  }

  private async finish(job: FinishableJob): Promise<void> {
    const key = objectKeys.predictionsCsv(job.projectId, job.jobId);
    const csv = await this.render(job);
    await this.parts.objects.put(key, Buffer.from(csv, 'utf8'), 'text/csv; charset=utf-8');
    await this.parts.work.finishJob(job.jobId, key);
    this.parts.logger.info({ jobId: job.jobId }, 'prediction job finished');
  }

  private async render(job: FinishableJob): Promise<string> {
    const parts = [predictionCsvHeader(job)];
    for (let after = -1; ;) {
      const rows = await this.parts.work.predictedRows(job.jobId, after, ROWS_AT_ONCE);
      parts.push(predictionCsvLines(job, rows));
      const last = rows.at(-1);
      if (last === undefined || rows.length < ROWS_AT_ONCE) return parts.join('');
      after = last.ordinal;
    }
  }
}
