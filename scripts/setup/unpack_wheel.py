"""Unpacks chosen members of a wheel: unpack_wheel.py WHEEL FOLDER PREFIX=TARGET...

A member whose name starts with PREFIX is written to FOLDER/TARGET + the rest of its name. Prints `done total` in bytes while it works.
Data is forced to the disk, because the folder counts as complete from its rename on.
"""

import os
import sys
import zipfile

CHUNK_BYTES = 4 << 20


def chosen_members(archive, rules):
    for member in archive.infolist():
        for prefix, target in rules:
            if member.filename.startswith(prefix) and not member.is_dir():
                yield member, target + member.filename[len(prefix) :]
                break


def main(wheel, folder, rules):
    with zipfile.ZipFile(wheel) as archive:
        members = list(chosen_members(archive, rules))
        total = sum(member.file_size for member, _ in members)
        done = 0
        for member, name in members:
            path = os.path.join(folder, name)
            if os.path.commonpath([os.path.abspath(path), os.path.abspath(folder)]) != os.path.abspath(folder):
                sys.exit("member %r leaves the folder" % member.filename)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(member) as source, open(path, "wb") as sink:
                while True:
                    chunk = source.read(CHUNK_BYTES)
                    if not chunk:
                        break
                    sink.write(chunk)
                    done += len(chunk)
                    print(done, total, flush=True)
                sink.flush()
                os.fsync(sink.fileno())
            if (member.external_attr >> 16) & 0o111:
                os.chmod(path, 0o755)
        for prefix, _ in rules:
            if not any(member.filename.startswith(prefix) for member, _ in members):
                sys.exit("nothing in %s starts with %r" % (os.path.basename(wheel), prefix))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [tuple(rule.split("=", 1)) for rule in sys.argv[3:]])
