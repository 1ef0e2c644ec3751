"""onnxruntime under Python, and the checker of the ONNX project."""

import numpy as np
import onnx
import onnxruntime
from exchange import serve


def run(request):
    """Checks an .onnx file with shape inference, runs it on the image bytes → its outputs by name."""
    onnx.checker.check_model(request["file"], full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(request["file"], options, providers=["CPUExecutionProvider"])
    (image_input,) = session.get_inputs()
    size = request["imageSizePx"]
    pixels = np.fromfile(request["images"], np.uint8).reshape(-1, size, size, 3)
    names = [output.name for output in session.get_outputs()]
    return {name: values.tolist() for name, values in zip(names, session.run(names, {image_input.name: pixels}))}


serve({"run": run})
