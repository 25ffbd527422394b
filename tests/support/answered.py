"""What a command prints with `--json`, checked by the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import yaml

import rlparity

SCHEMA = Path(__file__).parents[2] / "workflow" / "schemas" / "answers.schema.yaml"
ENVELOPE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["command", "version", "status", "error", "answer"],
    "properties": {
        "command": {"type": "string"},
        "version": {"const": rlparity.__version__},
        "status": {"type": "integer"},
        "error": {"type": ["string", "null"]},
        "answer": {"type": ["object", "null"]},
    },
}


def schema() -> dict[str, Any]:
    """The schema of all answers."""
    found: dict[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return found


def answer(printed: str, command: str, status: int = 0) -> dict[str, Any]:
    """The answer of a command that printed this and nothing else."""
    whole = json.loads(printed)
    jsonschema.validate(whole, ENVELOPE)
    assert (whole["command"], whole["status"], whole["error"]) == (command, status, None)
    found: dict[str, Any] = whole["answer"]
    of_all = schema()
    assert command in of_all["properties"]
    jsonschema.validate({command: found}, of_all)
    return found
