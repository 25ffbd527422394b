"""Lines at the foot of a terminal that are drawn over and over, and messages above them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence


class Foot:
    """Lines drawn last on standard error; the next drawing replaces them."""

    def __init__(self) -> None:
        self._drawn = 0

    def draw(self, lines: Sequence[str], message: str = "") -> None:
        """Print a message that stays, then the lines, cut to what the terminal can erase again."""
        columns, rows = shutil.get_terminal_size()
        room = max(rows - 2, 1)  # some terminals keep a screen that is erased as a whole
        if len(lines) > room:
            lines = [*lines[: room - 1], f"  and {len(lines) - room + 1} more"]
        erase = f"\x1b[{self._drawn}A\x1b[J" if self._drawn else ""
        above = message.rstrip("\n") + "\n" if message else ""
        sys.stderr.write(erase + above + "".join(f"{line[: columns - 1]}\n" for line in lines))
        sys.stderr.flush()
        self._drawn = len(lines)
