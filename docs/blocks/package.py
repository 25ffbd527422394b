"""All that the documentation takes from the package, by its present place."""

from rlparity.agents.base import module as agent_module
from rlparity.analysis import tables
from rlparity.analysis.schemas import TABLES
from rlparity.cli.parser import ORDER
from rlparity.cli.parser import build as command_line
from rlparity.errors import MEANINGS
from rlparity.records import SCHEMAS as RECORDS
from rlparity.registry import AGENTS, REFERENCES
from rlparity.reporting.pages.sensitivity_ways import count as brought
from rlparity.reporting.pages.suite.answer import counts
from rlparity.reporting.report_folder import Folder
from rlparity.suites.hyperparameters import library
from rlparity.validation.mutations.corpus import ANALYSIS, CORPUS

__all__ = [
    "AGENTS",
    "ANALYSIS",
    "CORPUS",
    "MEANINGS",
    "ORDER",
    "RECORDS",
    "REFERENCES",
    "TABLES",
    "Folder",
    "agent_module",
    "brought",
    "command_line",
    "counts",
    "library",
    "tables",
]
