import { stringify } from 'csv-stringify/sync';

export interface PredictionCsvRow {
  readonly fileName: string;
  readonly predictedLabel: string;
  /** One per class, in class order. */
  readonly probabilities: readonly number[];
}

/** Enough digits to tell any two float32 apart. */
const PROBABILITY_DIGITS = 9;

/** What stands in each row besides the prediction. */
export interface PredictionCsvSource {
  readonly classes: readonly string[];
  readonly modelId: string;
  /** Null for predictions on uploaded files. */
  readonly datasetVersionId: string | null;
}

/** `File,Label,probability_<class>…,model,dataset_version`, RFC 4180 with LF. Equal input gives equal bytes. */
export function predictionCsvHeader(source: PredictionCsvSource): string {
  return stringify([['File', 'Label', ...source.classes.map((name) => `probability_${name}`), 'model', 'dataset_version']]);
}

/** The lines of some rows, without the header. */
export function predictionCsvLines(source: PredictionCsvSource, rows: readonly PredictionCsvRow[]): string {
  return stringify(
    rows.map((row) => [
      row.fileName,
      row.predictedLabel,
      ...row.probabilities.map((p) => p.toPrecision(PROBABILITY_DIGITS)),
      source.modelId,
      source.datasetVersionId ?? '',
    ]),
    // A spreadsheet must not run a file name as a formula.
    { escape_formulas: true },
  );
}
