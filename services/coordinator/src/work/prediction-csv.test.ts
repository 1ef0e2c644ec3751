import { expect, test } from 'vitest';
import { predictionCsvHeader, predictionCsvLines } from './prediction-csv.js';

const source = { classes: ['normal', 'pneumonia'], modelId: 'mdl_1', datasetVersionId: 'dsv_1' };

test('one line per image, after a header that names the classes', () => {
  expect(predictionCsvHeader(source)).toBe('File,Label,probability_normal,probability_pneumonia,model,dataset_version\n');
  expect(predictionCsvLines(source, [{ fileName: 'a.png', predictedLabel: 'normal', probabilities: [0.75, 0.25] }])).toBe(
    'a.png,normal,0.750000000,0.250000000,mdl_1,dsv_1\n',
  );
});

test('commas, quotes and formulas in a file name stay data', () => {
  const line = predictionCsvLines(source, [{ fileName: '=1+"1",x.png', predictedLabel: 'normal', probabilities: [1, 0] }]);
  expect(line).toMatch(/^"'=1\+""1"",x\.png",normal,/);
});

test('predictions on uploaded files have no dataset version', () => {
  expect(
    predictionCsvLines({ ...source, datasetVersionId: null }, [{ fileName: 'a', predictedLabel: 'b', probabilities: [1, 0] }]),
  ).toMatch(/,mdl_1,\n$/);
});
