import { expect, test } from 'vitest';
import { assertCan, can, type Actor } from './access.js';
import { newId } from './ids.js';

const projectId = newId('prj');
const actor = (role: Actor['role']): Actor => ({ tokenId: newId('tok'), tokenName: 't', projectId, role });

test('each role may do what the ones below it may', () => {
  expect(can(actor('viewer'), 'run:read', projectId)).toBe(true);
  expect(can(actor('viewer'), 'run:start', projectId)).toBe(false);
  expect(can(actor('trainer'), 'prediction:start', projectId)).toBe(true);
  expect(can(actor('trainer'), 'token:write', projectId)).toBe(false);
  expect(can(actor('admin'), 'token:write', projectId)).toBe(true);
});

test('an admin of one project is nobody in another', () => {
  expect(can(actor('admin'), 'run:read', newId('prj'))).toBe(false);
  expect(() => assertCan(actor('viewer'), 'run:start', projectId)).toThrow('has the role viewer; run:start takes trainer');
});
