import type { DatasetStore, DatasetVersionRecord, NewDatasetVersion, ObjectRemovalStore, Queryable, UploadStore } from '@roentgen/database';
import { classesOf, encodeManifest, parseManifest, splitByPatient } from '@roentgen/datasets';
import {
  ConflictError,
  NotFoundError,
  newId,
  parseId,
  type Actor,
  type DatasetVersionId,
  type ManifestEntry,
  type ObjectStore,
  type UploadId,
} from '@roentgen/domain';
import { objectKeys } from '@roentgen/storage';
import { answer } from '../../graphql/payload.js';
import type { Repeatable } from '../repeatable.js';
import type { FinalizeDatasetInput } from './dataset.input.js';
import type { FinalizeDatasetPayload } from './dataset.type.js';
import { assertLabelled, assertReady, assertValidInput, rejectedFilesError, type LabelledFile } from './finalize-checks.js';

const OPERATION = 'finalize_dataset';
const LISTED_REJECTED_FILES = 100;

/** Upload → immutable dataset version. The manifest is in the object store before the row that points to it. */
export class FinalizeDataset {
  constructor(
    private readonly uploads: UploadStore,
    private readonly datasets: DatasetStore,
    private readonly store: ObjectStore,
    private readonly repeatable: Repeatable,
    private readonly removals: ObjectRemovalStore,
  ) {}

  run(actor: Actor, input: FinalizeDatasetInput): Promise<FinalizeDatasetPayload> {
    return answer(async () => {
      const earlier = await this.repeatable.earlier<DatasetVersionId>(actor, OPERATION, input);
      if (earlier !== null) return { datasetVersion: await this.read(actor, earlier), created: false };
      assertValidInput(input);
      const uploadId = parseId('upl', input.uploadId, 'uploadId');
      const manifest = encodeManifest(toEntries(await this.usableFiles(actor, uploadId, input), input));
      // Read back, so that the rows have the order of the manifest.
      const entries = parseManifest(manifest.bytes, manifest.sha256);
      const manifestKey = objectKeys.manifest(actor.projectId, manifest.sha256);
      await this.store.put(manifestKey, manifest.bytes, 'application/x-ndjson');
      const version = {
        id: newId('dsv'),
        projectId: actor.projectId,
        uploadId,
        manifestSha256: manifest.sha256,
        manifestKey,
        classes: classesOf(entries),
        splitSeed: input.splitSeed,
        splitFractions: input.splitFractions,
        patientCount: new Set(entries.map((entry) => entry.patient)).size,
        createdBy: actor.tokenId,
      };
      const { id } = await this.record(actor, input, version, entries);
      return { datasetVersion: await this.read(actor, id), created: id === version.id };
    });
  }

  private record(
    actor: Actor,
    input: FinalizeDatasetInput,
    version: Omit<NewDatasetVersion, 'datasetId'>,
    entries: readonly ManifestEntry[],
  ) {
    return this.repeatable.once(actor, OPERATION, input, async (tx) => {
      const name = input.datasetName.trim();
      const dataset = await this.datasets.ensure(tx, { id: newId('ds'), projectId: actor.projectId, name, createdBy: actor.tokenId });
      const same = await this.datasets.findVersionByManifest(tx, dataset.id, version.manifestSha256);
      if (same !== null) return same.id;
      await this.claimManifest(tx, version.manifestKey);
      await this.datasets.addVersion(tx, { ...version, datasetId: dataset.id }, entries);
      return version.id;
    });
  }

  /** @throws ConflictError when the janitor is about to remove the manifest, or has since it was stored */
  private async claimManifest(tx: Queryable, key: string): Promise<void> {
    const [removedOnce] = await this.removals.claim(tx, [key]);
    if (removedOnce === undefined || (await this.store.stat(key)) !== null) return;
    throw new ConflictError('The manifest was removed while the dataset was finalized. Finalize it again.', { key });
  }

  private async usableFiles(actor: Actor, uploadId: UploadId, input: FinalizeDatasetInput): Promise<LabelledFile[]> {
    const upload = await this.uploads.find(actor.projectId, uploadId);
    if (upload === null) throw new NotFoundError(`There is no upload ${uploadId} in this project.`, { uploadId });
    assertReady(upload);
    if (upload.rejectedCount > 0 && input.onRejected === 'FAIL') {
      const rejected = await this.uploads.listFiles(actor.projectId, uploadId, 'REJECTED', { limit: LISTED_REJECTED_FILES, after: null });
      throw rejectedFilesError(
        upload,
        rejected.items.map(({ item }) => item),
      );
    }
    return assertLabelled(await this.uploads.verifiedFiles(actor.projectId, uploadId));
  }

  private async read(actor: Actor, id: DatasetVersionId): Promise<DatasetVersionRecord> {
    const [version] = await this.datasets.versionsByIds(actor.projectId, [id]);
    if (version === undefined) throw new NotFoundError(`There is no dataset version ${id} in this project.`, { datasetVersionId: id });
    return version;
  }
}

/** The rows of the manifest. @throws InvalidInputError when a class has too few patients */
function toEntries(files: readonly LabelledFile[], input: FinalizeDatasetInput): ManifestEntry[] {
  const splits = splitByPatient(files, { seed: input.splitSeed, fractions: input.splitFractions });
  return files.flatMap((file, i): ManifestEntry[] => {
    const split = splits[i];
    if (split === undefined) return [];
    const { fileName, sha256, label, patient, widthPx, heightPx, site, view } = file;
    return [
      {
        fileName,
        sha256,
        label,
        patient,
        split,
        widthPx,
        heightPx,
        ...(site === null ? {} : { site }),
        ...(view === null ? {} : { view }),
      },
    ];
  });
}
