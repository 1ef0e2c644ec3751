import { randomUUID } from 'node:crypto';
import { EventStore, RecorderStore, RunLeaseStore, RunLifecycleStore } from '@roentgen/database';
import { RunEventInputSchema, decide, metric, newId, type RunEventKind, type RunId, type RunInput } from '@roentgen/domain';
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
  const lifecycle = new RunLifecycleStore(new EventStore(database), 'coordinator');
  const recorder = new RecorderStore();
  const [coordinator, attemptId, checkpointId, workerId] = [newId('crd'), newId('att'), newId('ckp'), newId('wkr')];
  const fenceToken = randomUUID();
  await new RunLeaseStore(database).claimOpen(coordinator, 60_000, 1_000);
  const step = (input: RunInput) =>
    database.transaction('finish', async (tx) => {
      const state = await lifecycle.load(tx, runId);
      const decision = state === null ? null : decide(state, input, { maxAttempts: 3 });
      if (decision?.ok !== true) throw new Error(decision?.message ?? 'there is no such run');
      // The log of these runs stays short: other tests count their events.
      await lifecycle.record(tx, runId, { ...decision, events: [] });
      return decision.state;
    });
  const by = { coordinator, generation: 1 };
  const { generation } = await step({
    kind: 'OFFER',
    by,
    attempt: { attemptId, token: fenceToken, workerId, workerName: 'w' },
    microBatchSize: null,
  });
  const fence = { runId, attemptId, generation, token: fenceToken };
  const checkpoint = { checkpointId, epoch: 2, step: 100, objectKey: 'k.safetensors', sha256: 'c'.repeat(64), bytes: 1234 };
  const fact = (kind: RunEventKind, rest: object = {}) =>
    step({ kind: 'FACT', fence, fact: RunEventInputSchema.parse({ eventId: kind, kind, occurredAt, ...rest }) });
  const occurredAt = new Date().toISOString();
  await fact('RUN_STARTED');
  const points = Array.from({ length: 100 }, (_, i) => ({
    ...metric('train/loss', i === 49 ? NaN : 1 / (i + 1)),
    step: i + 1,
    epoch: i < 50 ? 1 : 2,
    occurredAt,
  }));
  await database.transaction('finish', async (tx) => {
    await recorder.upsertMetrics(tx, runId, [...points, { ...metric('val/accuracy', 0.75), step: 100, epoch: 2, occurredAt }]);
    await recorder.advance(tx, runId, { step: 100, epoch: 2, totalSteps: 100 });
  });
  await fact('CHECKPOINT_SAVED', { step: 100, epoch: 2, checkpoint });
  await fact('RUN_SUCCEEDED', { step: 100, epoch: 2 });
  return { runId, modelId: textAt(await harness.ask(token, `{ trainingRun(id: "${runId}") { model { id } } }`), 'trainingRun.model.id') };
}
