import type { Device } from '@roentgen/domain';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { PARITY_TOLERANCE, compareWithReference, farthest } from '@roentgen/training';
import type { MIXED_PRECISION_TOLERANCE, ReferenceFixtureName, ReferenceParity } from '@roentgen/training';
import { checkAtMost, failed, type Check } from './check.js';

/** Loss, logits and gradients beside those that the stored reference computed from the same weights and images. */
export function parityChecks(binding: TensorFlowBinding, fixture: ReferenceFixtureName, device: Device): Check[] {
  return judgeParity(compareWithReference(binding, fixture), PARITY_TOLERANCE[device]);
}

/** @param tolerance largest relative distance */
export function judgeParity(parity: ReferenceParity, tolerance: number): Check[] {
  const { fixture, lossDistance, logitDistance, unmatchedParameters, gradients, moments } = parity;
  const loss = checkAtMost(`parity loss ${fixture}`, lossDistance, tolerance, ' relative to the reference');
  const logits = logitDistance === null ? [] : [checkAtMost(`parity logits ${fixture}`, logitDistance, tolerance, ' of the largest logit')];
  const name = `parity gradients ${fixture}`;
  const far = farthest([...gradients, ...moments]);
  if (unmatchedParameters.length > 0 || far === null) {
    return [
      loss,
      ...logits,
      failed(name, `not the parameters of the reference: ${unmatchedParameters.join(', ') || 'none'}`, 'the same parameters'),
    ];
  }
  const note = ` relative L2, worst of ${gradients.length} gradients and ${moments.length} batch moments (${far.name})`;
  return [loss, ...logits, checkAtMost(name, far.relativeL2, tolerance, note)];
}

/** A short number format beside the same reference, within a bound of its own: that of the loss, and of all gradients as one vector. */
export function judgePrecision(parity: ReferenceParity, tolerance: (typeof MIXED_PRECISION_TOLERANCE)['bf16']): Check[] {
  const { fixture, precision, lossDistance, gradientDistance } = parity;
  return [
    checkAtMost(`${precision} loss ${fixture}`, lossDistance, tolerance.loss, ' relative to the reference'),
    checkAtMost(`${precision} gradients ${fixture}`, gradientDistance, tolerance.gradients[fixture], ' relative L2 of all gradients'),
  ];
}
