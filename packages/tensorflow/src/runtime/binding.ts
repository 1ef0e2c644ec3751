import { createRequire } from 'node:module';
import type { TFJSBinding } from '@tensorflow/tfjs-node-gpu/dist/tfjs_binding.js';
import { BindingError } from '../errors.js';
import { locateLibtensorflow } from '../install/index.js';

/** The native addon of tfjs-node-gpu, unmodified. */
export type TensorFlowBinding = TFJSBinding;

/** The libtensorflow that the addon is compiled against; numbers of other versions are not the ones that were tested. */
export const TENSORFLOW_VERSION = '2.21.0';

const require = createRequire(import.meta.url);

/**
 * Loads the addon into this process; loading it again gives the same one.
 * @param path of `tfjs_binding.node`; by default where set-up put it
 * @throws LibtensorflowMissingError when set-up has not run
 * @throws BindingError when it is absent, cannot be loaded, or belongs to another TensorFlow
 */
export function loadBinding(path: string = locateLibtensorflow().bindingPath): TensorFlowBinding {
  const binding = requireAddon(path);
  if (binding.TF_Version !== TENSORFLOW_VERSION) {
    throw new BindingError(
      `the addon ${path} is built against TensorFlow ${binding.TF_Version}, this program needs ${TENSORFLOW_VERSION}: rebuild it.`,
      {
        path,
        version: binding.TF_Version,
      },
    );
  }
  return binding;
}

function requireAddon(path: string): TensorFlowBinding {
  try {
    return require(path) as TensorFlowBinding;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BindingError(`the TensorFlow addon ${path} cannot be loaded: ${reason}`, { path }, { cause });
  }
}
