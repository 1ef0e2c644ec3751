"""onnxruntime on timm's EfficientNet as PyTorch exports it, the whole batch at once."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
from protocol import batch, serve

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def exported(setup, folder):
    """The file, made by a process of its own: PyTorch's memory is not onnxruntime's."""
    path = os.path.join(folder, "model.onnx")
    script = os.path.join(os.path.dirname(__file__), "export_onnx.py")
    subprocess.run([sys.executable, script, json.dumps(setup), path], check=True, stdout=sys.stderr)
    return path


def prepare(setup):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setup["threads"]
    with tempfile.TemporaryDirectory() as folder:
        session = onnxruntime.InferenceSession(exported(setup, folder), options, providers=["CPUExecutionProvider"])
    images = ((batch(setup)[0] / np.float32(255) - MEAN) / STD).transpose(0, 3, 1, 2).copy()

    def step():
        (probabilities,) = session.run(None, {"images": images})
        assert abs(probabilities.sum() - setup["batchSize"]) < 1e-2

    return step


serve(prepare)
