"""Pillow: makes image files, and decodes and scales them as most Python programs do."""

import numpy as np
from exchange import serve
from PIL import Image


def picture(width, height, channels):
    """Waves of growing frequency with edges in them: smooth and sharp parts, all grey levels. uint8 [h, w, channels]"""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for channel in range(channels):
        waves = 127.5 + 90 * np.sin((x + channel * 9) ** 1.6 / width) * np.cos(y**1.4 / height * (1 + channel))
        planes.append(waves + 37 * (((x // 17) + (y // 13)) % 2 - 0.5))
    return np.clip(np.round(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)


def make(request):
    """Writes one image file. `mode`: L, RGB or I;16 (grey of 16 bits, whose upper 8 are the picture)."""
    mode = request["mode"]
    pixels = picture(request["widthPx"], request["heightPx"], 3 if mode == "RGB" else 1)
    if mode == "I;16":
        image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 256 + 128)
    else:
        image = Image.fromarray(pixels if mode == "RGB" else pixels[:, :, 0])
    options = {"quality": 90, "progressive": request.get("progressive", False)} if request["out"].endswith(".jpg") else {}
    image.save(request["out"], **options)
    return None


def resize(request):
    """Decodes, keeps the upper 8 of 16 bits, stretches to a square by antialiased bicubic interpolation → file of RGB bytes."""
    image = Image.open(request["file"])
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    size = request["sizePx"]
    pixels = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
    pixels.tofile(request["out"])
    return list(image.size)


serve({"make": make, "resize": resize})
