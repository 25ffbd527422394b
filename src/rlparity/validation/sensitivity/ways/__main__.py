"""`python -m rlparity.validation.sensitivity.ways`: see `program`."""

from __future__ import annotations

import sys

from rlparity.validation.sensitivity.ways import program

if __name__ == "__main__":
    program.main(sys.argv[1:])
