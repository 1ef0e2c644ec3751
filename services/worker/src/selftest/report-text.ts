import type { SelftestReport } from './selftest.js';

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
const threads = (count: number) => (count === 0 ? "TensorFlow's choice" : String(count));

/** The report for people: facts, a line or two per check, the verdict. */
export function reportText(report: SelftestReport): string {
  const { device, libtensorflow, host, cuda, checks, verdict } = report;
  const gpu = device?.gpu ?? null;
  const lines = [
    `device         ${device === null ? 'none' : `${device.device}, ${device.name}`}`,
    ...(gpu === null
      ? []
      : [`               ${gpu.device}, compute capability ${gpu.computeCapability}, ${gib(gpu.memoryBytes)}, PCI ${gpu.pciBusId}`]),
    ...(cuda.driver === null ? [] : [`CUDA           driver ${cuda.driver}, CUDA_VISIBLE_DEVICES=${cuda.visibleDevices ?? ''}`]),
    `libtensorflow  ${libtensorflow === null ? 'not loaded' : `${libtensorflow.version}, ${libtensorflow.bindingPath}`}`,
    `host           ${host.name}: ${host.cores} cores (${host.cpu}), ${gib(host.memoryBytes)} (${gib(host.freeMemoryBytes)} free), Node ${host.node}`,
    ...(report.memoryScale === null ? [] : [`memory         ${report.memoryScale.toFixed(2)} × the table per image`]),
    `threads        within an operation: ${threads(host.intraOpThreads)}; operations at a time: ${threads(host.interOpThreads)}`,
    '',
    ...checks.flatMap((check) => [
      `${check.verdict.padEnd(7)}  ${check.name}: ${check.measured}`,
      ...(check.bound === '' ? [] : [`         bound: ${check.bound}`]),
    ]),
    '',
    `${verdict}: ${report.passed} passed, ${report.failed} failed, ${report.skipped} skipped in ${report.seconds.toFixed(0)} s${report.quick ? ' (quick)' : ''}`,
  ];
  return lines.join('\n');
}
