# SPDX-License-Identifier: Apache-2.0
"""python -m fineprune: the program, as it came with the package, or as the system has it."""
import os
import shutil
import sys
from pathlib import Path


def main():
    own = Path(__file__).parent / "bin" / "fineprune"
    program = str(own) if own.exists() else shutil.which("fineprune")
    if not program or (not own.exists() and Path(program).resolve() == Path(sys.argv[0]).resolve()):
        sys.exit("fineprune: the program is not in this package and not in PATH")
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
