"""The suite, read and checked before any job is planned, as a table of cells."""

import contextlib
import io
import json
import math
import re
import sys
from pathlib import Path

from rlparity.environments import atari_ids as arcade
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.runs import pending as orders
from rlparity.suites import memory_needs as needs
from rlparity.suites import suite as suites
from rlparity.suites.costs import cost
from rlparity.suites.costs.speeds import Speeds
from rlparity.suites.hyperparameters import library, put_command_on_path

QUEUED_MIN = 3  # after its time limit a job has a minute for a checkpoint, and some for its records


def sent_away():
    """Whether this process sends its jobs to a cluster. Rules are read before Snakemake's workflow knows its
    executor, and a number of jobs may be given without a cluster: its arguments and profiles are asked."""
    if not workflow.is_main_process or workflow.resource_settings.nodes is None:
        return False
    if Path(sys.argv[0]).name not in ("snakemake", "__main__.py"):
        return True
    from snakemake.cli import parse_args
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    with contextlib.redirect_stderr(io.StringIO()):
        _, arguments = parse_args(None)
    executor = ExecutorPluginRegistry().get_plugin(arguments.executor or "local")
    return not executor.common_settings.local_exec


put_command_on_path()
try:
    suites.check_writable(Path("results"), Path("reports"))
    if len(workflow.configfiles) > 1:
        raise UserError(f"--configfile: one suite at a time, not {len(workflow.configfiles)}")
    away = sent_away()
    # Jobs go to a cluster, or this is one of them: what is run need not fit this machine as a whole.
    elsewhere = away or not workflow.is_main_process
    asked = workflow.config_settings.config  # of --config; `config` has the file, as Snakemake reads it
    suite = suites.load(Path(workflow.configfiles[0]), narrow=asked, elsewhere=elsewhere)
    if away and suite.device == "auto":
        raise UserError(
            "device: auto is what this machine has; for a cluster write cpu or cuda, or --config device=cuda"
        )
    if workflow.is_main_process:
        waiting = orders.place(suite.cells, Path("results"))
        estimate = cost.describe(suite.cells, waiting, Path("reports"))
        print(f"suite {suite.name}: {estimate}", file=sys.stderr)
except UserError as error:
    sys.exit(f"rlparity: {error}")


report: "../report/methods.rst"


wildcard_constraints:
    suite=suite.name,
    environment="|".join(sorted(map(re.escape, set(suite.columns()["environment"])))),
    implementation="|".join(suite.implementations),
    algorithm="|".join(sorted(library().algorithms)),
    seeds=r"seeds-\d+-\d+",


cells = suite.columns()
restored = {"sb3"} if suite.references == "shipped" else set()
trained = [name for name in suite.implementations if name not in restored]
needed = {
    str(cell.folder): needs.needed_mib(cell, suite.environments[cell.environment].info)
    for cell in suite.cells
}
rates = Speeds(Path("reports"))
minutes = {str(cell.folder): cost.minutes_allowed(cell, rates) for cell in suite.cells}
if "mem_mb" not in workflow.global_resources and not elsewhere:
    workflow.register_resource("mem_mb", needs.machine_bytes() // 2**20)
has_atari = bool(arcade.games(suite.environments))
on_gpu = any(cell.device == "cuda" for cell in suite.cells)
plan = fingerprint.text_hash(suite.plan())


def cells_with(*records):
    """The table of cells, once for each of these records."""
    table = {name: values * len(records) for name, values in cells.items()}
    return table | {"record": [record for record in records for _ in suite.cells]}


def memory_of(cell):
    """MiB, so that cells whose replay memories do not fit side by side run one after another."""
    return needed["/".join(cell)]


def minutes_of(cell):
    """What a cluster is asked for: the suite's time limit and what comes after it, else several times the
    estimate."""
    return math.ceil(suite.time_limit * 60) + QUEUED_MIN if suite.time_limit else minutes["/".join(cell)]


onsuccess:
    summary = Path("results", suite.name, "summary.txt")
    logger.info(summary.read_text(encoding="utf-8"))


onerror:
    logger.error(f"suite {suite.name}: not finished, see above; the same command goes on where it stopped")
