"""The command that prints the settings which a program under validation should be given."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping
from typing import Any

from rlparity.cli.base import Add

FORMATS = ("yaml", "json", "flags")


def add_command(add: Add) -> None:
    """Declare `rlparity dev settings`."""
    command = add(
        "settings",
        print_settings,
        "Print what a program should be given.",
        "REFERENCE",
        "ENVIRONMENT",
        about="All settings of the reference in an environment, defaults included.",
    )
    command.add_argument("--format", choices=FORMATS, default="yaml", help="default: yaml")
    command.add_argument("--suite", help="with the hyper-parameters that this suite replaces")


def print_settings(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.validation import request

    values, source = request.reference_settings(chosen.reference, chosen.environment, chosen.suite)
    if chosen.format == "json":
        print(json.dumps(values, indent=1))
    elif chosen.format == "flags":
        print(shlex.join(flags(values)))
    else:
        import yaml

        print(f"# {chosen.reference} in {chosen.environment}: {source}")
        print(yaml.safe_dump(values, sort_keys=False, default_flow_style=None).strip())


def flags(values: Mapping[str, Any]) -> list[str]:
    """Settings as words of a command line: `--learning-rate 0.001 --no-normalize --net-arch 64 64`.

    Truth values are written as argparse's BooleanOptionalAction and tyro read them; None is left out.
    """
    words = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, list):
            words += [f"--{flag}", *map(str, value)]
        elif value is not None:
            words += [f"--{flag}", str(value)]
    return words
