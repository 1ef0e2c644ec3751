import { describe, expect, test } from 'vitest';
import { UsageError } from '../failure.js';
import { parseLabels } from './label-file.js';

const COLUMNS = { file: 'file', label: 'label', patient: 'patient' };
const read = (text: string, columns = COLUMNS) => parseLabels(text, 'labels.csv', columns);

describe('a label file', () => {
  test('is read by column name, whatever the order, with a byte order mark, Windows line ends and quotes', () => {
    const { rows, problems } = read('\uFEFFpatient,site,file,label\r\np1,A,"a, b.png",normal\r\n\r\np2,B,c.png,pneumonia\r\n');
    expect(problems).toEqual([]);
    expect(rows).toEqual([
      { line: 2, fileName: 'a, b.png', label: 'normal', patient: 'p1' },
      { line: 4, fileName: 'c.png', label: 'pneumonia', patient: 'p2' },
    ]);
  });

  test('without the wanted column names the columns that it has and the flag to use', () => {
    expect(() => read('image,finding,patient\na.png,normal,p1\n')).toThrow(
      'labels.csv has no column "file" (for the file) and "label" (for the label). Its columns are: image, finding, patient. Name the right one with --file-column, --label-column.',
    );
    expect(read('image,finding,patient\na.png,normal,p1\n', { file: 'image', label: 'finding', patient: 'patient' }).rows).toHaveLength(1);
  });

  test('has all of its bad rows reported, each with its line', () => {
    const { rows, problems } = read(
      'file,label,patient\na.png,normal,p1\n../b.png,normal,p1\na.png,normal,p2\nc.png,,\n/etc/d.png,normal,p3\nx/../../e.png,normal,p3\nf.png,normal,p4\n',
    );
    expect(rows.map((row) => row.fileName)).toEqual(['a.png', 'f.png']);
    expect(problems.map(({ line, message }) => `${line}: ${message}`)).toEqual([
      '3: "../b.png" leaves the folder: file names are relative to it and stay inside',
      '4: "a.png" was already named in line 2; each file gets one row',
      '5: the columns label, patient are empty',
      '6: "/etc/d.png" leaves the folder: file names are relative to it and stay inside',
      '7: "../e.png" leaves the folder: file names are relative to it and stay inside',
    ]);
  });

  test('that is empty or no CSV is refused as a whole', () => {
    expect(() => read('')).toThrow(UsageError);
    expect(() => read('file,label,patient\n"a.png,normal,p1\n')).toThrow('labels.csv is not valid CSV');
  });
});
