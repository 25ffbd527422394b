"""The command line: one subcommand per stage of the pipeline, and a few for people."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from typing import Any

from rlparity.cli import pipeline, suites, validation
from rlparity.errors import UserError

STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
SMALLER = "train fewer seeds in a block, give it a smaller buffer_size, or fewer --cores"
AGAIN = "mend that and give the same command again"
DESCRIPTION = """\
Reproducible reinforcement-learning benchmarks that end in a verdict.

for people:
  run SUITE        train and report a suite: its name (smoke, cartpole, classic, ...) or a path
  plan SUITE       what a suite asks for: jobs, hours, memory, storage; what of it is trained already
  train A E        train one algorithm in one environment, without a suite file
  play CELL        watch a trained cell (its folder), in a window or as a GIF
  restore SUITE    take over records that the reports carry, instead of training them again
  interim SUITE    report a suite that is still in training, as far as its checkpoints go
  vouch SUITE      keep shipped records valid after a refactoring: train a part again and compare
  bench            environment steps per second, ours beside Stable-Baselines3's
  validate ...     an implementation of yours, through all layers, against its reference
  sensitivity S    plant bugs, and see which layer of validation catches them
  parity [A ...]   updates beside Stable-Baselines3's: same weights, batches and draws
  diff A B         what changed between two reports
  calibrate        how often verdicts err, on seeds of one reference
  lockstep         our agents beside Stable-Baselines3's, environment step by environment step

stages, called by the pipeline in this order:
  cell             train one cell of a suite
  collect          records -> tables
  films            trained agents at play -> short films
  analyse          tables -> statistics and verdicts
  draw             statistics -> figures
  report           figures and statistics -> the page
  index            the page of all suites
  check            say which seeds failed
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit status. What a user can mend is told in one line."""
    try:
        parser = _parser()
        chosen, rest = parser.parse_known_args(arguments)
        if rest and not getattr(chosen, "passes_on", False):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return int(chosen.run(chosen, rest) or 0)
    except UserError as error:
        print(f"rlparity: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("rlparity: interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        print(f"rlparity: out of memory; {SMALLER}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in STORAGE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"rlparity: {where}{error.strerror}; {AGAIN}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlparity",
        usage="rlparity COMMAND ...",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", help=argparse.SUPPRESS, prog="rlparity"
    )

    def add(name: str, run: Any, summary: str, *positional: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, description=summary, add_help=name != "bench")
        command.set_defaults(run=run)
        for word in positional:
            command.add_argument(word.lower(), metavar=word)
        return command

    for room in (suites, validation, pipeline):
        room.add_commands(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
