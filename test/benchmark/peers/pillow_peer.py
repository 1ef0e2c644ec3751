"""Pillow on several threads (it decodes and resizes without the interpreter's lock): JPEG → RGB → bicubic → bytes."""

import io
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from protocol import serve


def prepare(setup):
    folder, size = setup["folder"], setup["imageSizePx"]
    files = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            files.append(file.read())
    pool = ThreadPoolExecutor(setup["concurrency"])

    def decode(data):
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((size, size), Image.Resampling.BICUBIC))

    def step():
        assert sum(pixels.nbytes for pixels in pool.map(decode, files)) == len(files) * size * size * 3

    return step


serve(prepare)
