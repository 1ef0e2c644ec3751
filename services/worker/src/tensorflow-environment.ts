/** What TensorFlow is told before it is loaded. */
export interface TensorFlowSettings {
  readonly device: 'auto' | 'cpu' | 'cuda';
  /** The one GPU to use, an index as nvidia-smi has it or a UUID; null: the first visible one. */
  readonly gpu: string | null;
  /** 0: TensorFlow's choice. */
  readonly intraOpThreads: number;
  readonly interOpThreads: number;
  /** Compiles clusters of operations: for GPUs; on CPUs it was measured to be ten times slower. */
  readonly xla: boolean;
  /** Kernels that give the same bits each time, where TensorFlow has them for the GPU; an operation without one is an error then. */
  readonly deterministicOps: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The variables that TensorFlow and CUDA read once, when they are loaded: they must be there when the process starts.
 * @param inherited what the machine's own environment says; of what is set there for XLA nothing is taken away
 * @param cudaDirectory folder with libdevice and ptxas of a CUDA build
 */
export function tensorflowEnvironment(
  settings: TensorFlowSettings,
  inherited: Environment,
  cudaDirectory: string | null,
): Record<string, string> {
  const { intraOpThreads, interOpThreads, deterministicOps } = settings;
  return {
    TF_CPP_MIN_LOG_LEVEL: '3',
    // Without it TensorFlow takes the whole GPU at once, and nobody can tell what a run needs.
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    // So that an index means to CUDA what it means to nvidia-smi.
    CUDA_DEVICE_ORDER: inherited.CUDA_DEVICE_ORDER ?? 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: visibleGpu(settings, inherited.CUDA_VISIBLE_DEVICES),
    ...xlaVariables(settings, inherited, cudaDirectory),
    ...(deterministicOps ? { TF_DETERMINISTIC_OPS: '1' } : {}),
    ...(intraOpThreads > 0 ? { TF_NUM_INTRAOP_THREADS: String(intraOpThreads) } : {}),
    ...(interOpThreads > 0 ? { TF_NUM_INTEROP_THREADS: String(interOpThreads) } : {}),
  };
}

/** One GPU a process, however many are visible; an empty text or -1 hides all of them and stays. */
function visibleGpu({ device, gpu }: TensorFlowSettings, visible = '0'): string {
  if (device === 'cpu') return '-1';
  return gpu ?? visible.split(',')[0]!.trim();
}

function xlaVariables({ device, xla }: TensorFlowSettings, inherited: Environment, cudaDirectory: string | null): Record<string, string> {
  const flags = inherited.XLA_FLAGS ?? '';
  const knowsCuda = cudaDirectory === null || flags.includes('--xla_gpu_cuda_data_dir');
  const jit = ['--tf_xla_auto_jit=2', ...(device === 'cpu' ? ['--tf_xla_cpu_global_jit'] : [])].join(' ');
  return {
    ...(knowsCuda ? {} : { XLA_FLAGS: `${flags} --xla_gpu_cuda_data_dir=${cudaDirectory}`.trim() }),
    ...(xla ? { TF_XLA_FLAGS: `${inherited.TF_XLA_FLAGS ?? ''} ${jit}`.trim() } : {}),
  };
}
