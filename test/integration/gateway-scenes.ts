import { randomUUID } from 'node:crypto';
import { RecorderStore, RunLeaseStore } from '@roentgen/database';
import { metric, newId, uuidOf, type RunId } from '@roentgen/domain';
import { textAt, type GatewayHarness, type TestToken, type UploadedFile } from './gateway-harness.js';

/** 40 images of 20 patients, two classes. */
export const CHEST_FILES: readonly UploadedFile[] = Array.from({ length: 40 }, (_, i) => ({
  fileName: `img-${String(i).padStart(2, '0')}.png`,
  label: i % 4 < 2 ? 'normal' : 'pneumonia',
  patient: `p${Math.floor(i / 2)}`,
}));

/** A dataset version of those files; returns its id. */
export async function makeChestDataset(harness: GatewayHarness, token: TestToken): Promise<string> {
  const uploadId = await harness.makeReadyUpload(token, CHEST_FILES);
  const made = await harness.ask(
    token,
    `mutation { finalizeDataset(input: { uploadId: "${uploadId}", datasetName: "chest" }) { datasetVersion { id } } }`,
  );
  return textAt(made, 'finalizeDataset.datasetVersion.id');
}

/** A queued run. */
export async function startRun(harness: GatewayHarness, token: TestToken, datasetVersionId: string, input: object = {}): Promise<RunId> {
  const mutation = 'mutation ($input: StartTrainingRunInput!) { startTrainingRun(input: $input) { run { id } } }';
  const started = await harness.ask(token, mutation, { input: { datasetVersionId, ...input } });
  return `run_${textAt(started, 'startTrainingRun.run.id').slice(4)}`;
}

/** A run that a worker has finished: two epochs, a checkpoint, a model. */
export async function finishRun(harness: GatewayHarness, token: TestToken, versionId: string): Promise<{ runId: RunId; modelId: string }> {
  const runId = await startRun(harness, token, versionId, { name: 'finished' });
  const { database } = harness;
  const [recorder, leases] = [new RecorderStore(), new RunLeaseStore(database)];
  const [attemptId, checkpointId] = [newId('att'), newId('ckp')];
  const occurredAt = new Date().toISOString();
  await database.transaction('finish', async (tx) => {
    await leases.move(tx, runId, ['QUEUED'], 'PREPARING', null);
    await tx.query(
      'attempt',
      `insert into attempts (id, project_id, run_id, number, generation, token, worker_id, worker_name) values ($1, $2, $3, 1, 1, $4, $5, 'w')`,
      [uuidOf(attemptId), uuidOf(token.projectId), uuidOf(runId), randomUUID(), uuidOf(newId('wkr'))],
    );
    await leases.move(tx, runId, ['PREPARING'], 'RUNNING', null);
    const points = Array.from({ length: 100 }, (_, i) => ({
      ...metric('train/loss', i === 49 ? NaN : 1 / (i + 1)),
      step: i + 1,
      epoch: i < 50 ? 1 : 2,
      occurredAt,
    }));
    await recorder.upsertMetrics(tx, runId, [...points, { ...metric('val/accuracy', 0.75), step: 100, epoch: 2, occurredAt }]);
    await recorder.advance(tx, runId, { step: 100, epoch: 2, totalSteps: 100 });
    await recorder.addCheckpoint(tx, runId, attemptId, {
      checkpointId,
      epoch: 2,
      step: 100,
      objectKey: 'k.safetensors',
      sha256: 'c'.repeat(64),
      bytes: 1234,
    });
    await leases.endAttempt(tx, attemptId, 'SUCCEEDED', null);
    await leases.move(tx, runId, ['RUNNING'], 'SUCCEEDED', null);
    await recorder.addModel(tx, runId);
  });
  return { runId, modelId: textAt(await harness.ask(token, `{ trainingRun(id: "${runId}") { model { id } } }`), 'trainingRun.model.id') };
}
