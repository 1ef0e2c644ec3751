import type { Device } from '@roentgen/domain';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { PARITY_TOLERANCE, compareWithKeras, farthest } from '@roentgen/training';
import type { KerasFixtureName, KerasParity } from '@roentgen/training';
import { checkAtMost, failed, type Check } from './check.js';

/** Loss and gradients of B0 beside those that Keras computed from the same weights and images. */
export function parityChecks(binding: TensorFlowBinding, fixture: KerasFixtureName, device: Device): Check[] {
  return judgeParity(compareWithKeras(binding, fixture), PARITY_TOLERANCE[device]);
}

/** @param tolerance largest relative distance */
export function judgeParity({ fixture, lossDistance, unmatchedParameters, gradients, moments }: KerasParity, tolerance: number): Check[] {
  const loss = checkAtMost(`parity loss ${fixture}`, lossDistance, tolerance, ' relative to Keras');
  const name = `parity gradients ${fixture}`;
  const far = farthest([...gradients, ...moments]);
  if (unmatchedParameters.length > 0 || far === null) {
    return [loss, failed(name, `not the parameters of Keras: ${unmatchedParameters.join(', ') || 'none'}`, 'the same parameters')];
  }
  const note = ` relative L2, worst of ${gradients.length} gradients and ${moments.length} batch moments (${far.name})`;
  return [loss, checkAtMost(name, far.relativeL2, tolerance, note)];
}
