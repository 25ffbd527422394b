"""The command line: reads arguments, runs one command, reports errors in one line."""

from __future__ import annotations

import os
import sys
import traceback

from rlparity.errors import STORAGE, Status, UserError

MEMORY = "train fewer seeds in a block, set a smaller buffer_size, or use fewer --cores"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status, see `errors.Status`. An error that the user can cause is one
    line."""
    try:
        if sys.platform not in ("linux", "darwin"):
            raise UserError(f"it does not run on {sys.platform}; on Windows use it inside WSL, as on Linux")
        from rlparity import project_files  # modules below need a POSIX system
        from rlparity.cli import answers
        from rlparity.cli.parser import build

        project_files.put_working_folder_on_path()
        parser = build()
        chosen, rest = parser.parse_known_args(arguments)
        if rest and not getattr(chosen, "passes_on", False):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return answers.run(chosen, rest)
    except UserError as error:
        return _ended(error.status, str(error))
    except KeyboardInterrupt:
        return _ended(Status.INTERRUPTED, "interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.PIPE_CLOSED
    except Exception as error:
        if _is_memory(error):
            return _ended(Status.RESOURCES, f"out of memory; {MEMORY}")
        if isinstance(error, OSError) and error.errno in STORAGE:
            where = f"{error.filename}: " if error.filename else ""
            return _ended(
                Status.RESOURCES, f"{where}{error.strerror}; correct that and run the command again"
            )
        traceback.print_exc()  # an error of rlparity, which tells nothing about what was to be judged
        return Status.NOT_JUDGED


def _ended(status: int, line: str) -> int:
    print(f"rlparity: {line}", file=sys.stderr)
    return status


def _is_memory(error: Exception) -> bool:
    """Also PyTorch's errors, of a GPU and of its allocator on the CPU; torch is not imported for it."""
    ours = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return ours or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


if __name__ == "__main__":
    sys.exit(main())
