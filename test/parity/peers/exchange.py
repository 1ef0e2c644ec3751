"""The Python half of ../peer-process.ts: one line of JSON asks, one line of JSON answers, tensors travel as safetensors files."""

import json
import os
import sys
import traceback

import numpy as np

# Whatever a library prints belongs to the log; answers have the pipe to themselves.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

DTYPES = {"F32": np.float32, "U8": np.uint8}


def read_tensors(path):
    """Name → array, in the order of the file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*info["data_offsets"])], DTYPES[info["dtype"]]).reshape(info["shape"]) for name, info in header.items()
    }


def write_tensors(path, tensors):
    """float32 arrays by name."""
    arrays = {name: np.ascontiguousarray(values, np.float32) for name, values in tensors.items()}
    header, offset = {}, 0
    for name, values in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in arrays.values():
            file.write(values.tobytes())


def read_batch(request):
    """Pixels normalised as the weights want them, float64 [n, s, s, 3]; labels and weights in the loss where the request has them."""
    size = request["imageSizePx"]
    pixels = np.fromfile(request["images"], np.uint8).reshape(-1, size, size, 3).astype(np.float64)
    scale, mean, std = (np.array(request["normalization"][key], np.float64) for key in ("scale", "mean", "std"))
    return (pixels / scale - mean) / std


def serve(commands):
    """Answers until the pipe closes. A request that fails is answered with its traceback."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": commands[request.pop("command")](request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=ANSWERS, flush=True)
