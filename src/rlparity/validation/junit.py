"""Findings as JUnit XML for continuous integration: a suite for each layer, a case for each check."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from rlparity.errors import UserError
from rlparity.validation.checks import LAYERS, Check
from rlparity.validation.validate import Findings, unjudged

UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def write(found: Findings, strict: bool, file: Path) -> None:
    """Write the file. Failed contract checks and WORSE are failures, and with `strict` parity differences;
    without it these are output of their case. What is undecided, not looked at or was not run is skipped."""
    root = ET.Element("testsuites", name=_clean(found.plan.title))
    for layer in LAYERS:
        checks = [check for check in found.checks if check.layer == layer]
        if (
            checks
            or layer in found.left_out
            or (layer == "statistics" and (found.verdicts or found.unfinished))
        ):
            _suite(root, layer, checks, found, strict)
    _save(root, file)


def write_error(problem: str, file: Path) -> None:
    """Write a file with one error, because nothing could be validated."""
    root = ET.Element("testsuites", name="rlparity validate")
    suite = ET.SubElement(root, "testsuite", name="validate")
    _add_outcome(_case(suite, "validate", "can be run", 0.0), "error", problem)
    _count(suite)
    _save(root, file)


def remove(file: Path) -> None:
    """Remove the file of an earlier run, so that it is not taken for this one's; /dev/stdout stays. UserError
    if it is a folder."""
    if file.is_dir():
        raise UserError(f"--junit {file}: is a folder; name a file")
    if file.is_file() and not file.is_symlink():
        file.unlink()


def _save(root: ET.Element, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    ET.indent(root)
    ET.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _suite(root: ET.Element, layer: str, checks: Sequence[Check], found: Findings, strict: bool) -> None:
    suite = ET.SubElement(root, "testsuite", name=layer)
    for check in checks:
        case = _case(suite, layer, check.name, check.seconds)
        tag = "system-out" if check.passed or (layer == "parity" and not strict) else "failure"
        tag = "error" if unjudged(check) else tag
        tag = tag if check.looked else "skipped"
        _add_outcome(case, tag, check.detail)
    for verdict in found.verdicts if layer == "statistics" else ():
        case = _case(suite, layer, f"{verdict.endpoint} in {verdict.environment}", 0.0)
        undecided = "failure" if verdict.word == "WORSE" else "skipped"
        _add_outcome(case, "system-out" if verdict.good else undecided, verdict.detail)
    for place, reason in found.unfinished.items() if layer == "statistics" else ():
        _add_outcome(_case(suite, layer, f"seeds in {place}", 0.0), "error", f"no seed finished: {reason}")
    if layer in found.left_out:
        case = _case(suite, layer, layer, 0.0)
        _add_outcome(case, "error" if layer == "contract" else "skipped", found.left_out[layer])
    _count(suite)


def _count(suite: ET.Element) -> None:
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    suite.set("tests", str(len(suite)))
    for name, tag in counts.items():
        suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))


def _case(suite: ET.Element, layer: str, name: str, seconds: float) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", classname=f"rlparity.{layer}", name=_clean(name), time=f"{seconds:.3f}"
    )


def _add_outcome(case: ET.Element, tag: str, text: str) -> None:
    if tag == "system-out" and not text:
        return
    element = ET.SubElement(case, tag)
    if tag == "system-out":
        element.text = _clean(text)
    else:
        element.set("message", _clean(text))


def _clean(text: str) -> str:
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
