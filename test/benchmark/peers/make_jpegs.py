"""python3 make_jpegs.py SOURCE_FOLDER TARGET_FOLDER COUNT SIDE_PX: the first COUNT images, scaled up or down to a square, as JPEG of quality 90."""

import os
import sys

from PIL import Image

source, target, count, side = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for name in sorted(os.listdir(source))[:count]:
    Image.open(os.path.join(source, name)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC).save(os.path.join(target, name), quality=90)
