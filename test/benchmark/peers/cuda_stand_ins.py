"""Makes PyTorch's published Linux build importable without CUDA's libraries (3 GB more), for measurements on the CPU only.

    python3 cuda_stand_ins.py FOLDER_WITH_THE_PACKAGE_torch

The build is for CPU and GPU in one and names CUDA's libraries as needed, so the loader asks for them even where nothing calls them. For each
that is missing a library is compiled that has the wanted symbols and nothing behind them: every function returns 100, in CUDA's numbers
"no device". The code that computes on the CPU is PyTorch's own, untouched.
"""

import os
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def missing_libraries(files):
    """Names of needed libraries that the loader does not find."""
    return {line.split()[0] for file in files for line in output("ldd", file).splitlines() if "not found" in line}


def wanted_symbols(file):
    """Library → version → symbols that `file` takes from it."""
    library_of_version, library = {}, None
    for line in output("readelf", "-W", "--version-info", file).splitlines():
        if found := re.search(r"File: (\S+)", line):
            library = found[1]
        elif found := re.search(r"Name: (\S+)  Flags: .* Version: (\d+)", line):
            library_of_version[found[2]] = library
    wanted = {}
    for line in output("readelf", "-W", "--dyn-syms", file).splitlines():
        if found := re.search(r" UND (\w+)@(\S+) \((\d+)\)", line):
            symbol, version, number = found.groups()
            wanted.setdefault(library_of_version[number], {}).setdefault(version, set()).add(symbol)
    return wanted


def compile_stand_in(path, symbols_of_version):
    script = path + ".map"
    with open(script, "w") as file:
        for version, symbols in symbols_of_version.items():
            file.write(f"{version} {{ global: {' '.join(f'{symbol};' for symbol in sorted(symbols))} }};\n")
    source = "".join(f"int {symbol}(void) {{ return 100; }}\n" for symbols in symbols_of_version.values() for symbol in sorted(symbols))
    versions = [f"-Wl,--version-script={script}"] if symbols_of_version else []
    name = f"-Wl,-soname,{os.path.basename(path)}"
    subprocess.run(["g++", "-shared", "-fPIC", "-w", "-x", "c", "-", "-o", path, name, *versions], input=source, check=True, text=True)
    os.remove(script)


def main(folder):
    libraries = os.path.join(folder, "torch", "lib")
    files = [os.path.join(libraries, name) for name in os.listdir(libraries) if name.endswith(".so")]
    missing = missing_libraries(files)
    symbols = {name: {} for name in missing}
    for file in files:
        for library, versions in wanted_symbols(file).items():
            if library in missing:
                for version, names in versions.items():
                    symbols[library].setdefault(version, set()).update(names)
    for library, versions in symbols.items():
        compile_stand_in(os.path.join(libraries, library), versions)


if __name__ == "__main__":
    main(sys.argv[1])
