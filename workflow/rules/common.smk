"""Read and check the suite before any job is planned; give the rules its cells as a table."""

import contextlib
import dataclasses
import io
import json
import math
import re
import sys
from pathlib import Path

from rlparity import project_files
from rlparity.environments import atari_ids
from rlparity.environments.probing import before_training
from rlparity.errors import UserError
from rlparity.provenance import fingerprint, host
from rlparity.runs import pending, regrouping
from rlparity.shipped_records import live_check, pool, references
from rlparity.suites import growth, memory_needs
from rlparity.suites import suite as suites
from rlparity.suites.config import replaced
from rlparity.suites.costs import cost, splits
from rlparity.suites.costs.speeds import Speeds
from rlparity.suites.hyperparameters import library, put_command_on_path

GRACE_MIN = 3  # of a job after its time limit: one minute for a checkpoint, the rest for its records


def runs_on_cluster():
    """Whether this process submits its jobs to a cluster.

    Rules are read before Snakemake's workflow knows its executor, and `--jobs` alone does not mean a cluster.
    So the arguments and profiles are parsed here.
    """
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
project_files.put_working_folder_on_path()
try:
    suites.check_writable(Path("results"), Path("reports"))
    if len(workflow.configfiles) > 1:
        raise UserError(f"--configfile: one suite at a time, not {len(workflow.configfiles)}")
    on_cluster = runs_on_cluster()
    # On a cluster, or inside a job, the whole suite need not fit this machine.
    elsewhere = on_cluster or not workflow.is_main_process
    overrides = workflow.config_settings.config  # from --config; `config` has the file's values, too
    # On a cluster starting a job costs more than a few seeds in one process: blocks stay whole, as with one core.
    cores = 1 if elsewhere else workflow.resource_settings.cores or host.cores()
    suite = splits.load(
        Path(workflow.configfiles[0]), overrides, elsewhere, Path("reports"), Path("results"), cores
    )
    suite = pool.widened(suite, Path("reports"))
    if on_cluster and suite.device == "auto":
        raise UserError(
            "device: auto means this machine's; for a cluster set cpu or cuda in the suite, or --config device=cuda"
        )
    say = (lambda line: print(line, file=sys.stderr)) if workflow.is_main_process else (lambda line: None)
    suite = references.settled(suite, Path("results"), Path("reports"), say)
    live = references.checked(suite, Path("results"))
    if workflow.is_main_process:
        copied = references.fill(suite, Path("results"), Path("reports"))
        if copied:
            say(f"suite {suite.name}: {copied} cells taken from shipped records")
        pool.take_floor(suite, Path("results"), Path("reports"))
        reached = growth.reached(suite, Path("results"))
        untrained = {cell.folder for cell in live_check.waiting(live, Path("results"))}
        untrained |= {
            cell.folder for cell in reached if not pending.up_to_date(cell, Path("results", cell.folder))
        }
        probed = before_training.checked(reached, say, lambda cell: cell.folder in untrained)
        waiting = pending.update(probed, Path("results"))
        waiting += references.renewed(suite, Path("results"))
        taken = regrouping.ready(waiting, Path("results"))
        waiting += live_check.waiting(live, Path("results"))
        estimate = cost.describe(reached, waiting, Path("reports"), taken)
        say(f"suite {suite.name}: {estimate}")
except UserError as error:
    sys.exit(f"rlparity: {error}")


report: "../report/methods.rst"


wildcard_constraints:
    suite=suite.name,
    look=r"\d+",
    environment="|".join(sorted(map(re.escape, set(suite.columns()["environment"])))),
    implementation="|".join(suite.implementations),
    algorithm="|".join(sorted(library().algorithms)),
    seeds=r"seeds-\d+-\d+",


needed = {
    str(cell.folder): memory_needs.needed_mib(cell, suite.environments[cell.environment].info)
    for cell in suite.cells
}
speeds = Speeds(Path("reports"))
minutes = {str(cell.folder): cost.minutes_allowed(cell, speeds) for cell in suite.cells}
if "mem_mb" not in workflow.global_resources and not elsewhere:
    workflow.register_resource("mem_mb", memory_needs.machine_bytes() // 2**20)
has_atari = bool(atari_ids.games(suite.environments))
on_gpu = any(cell.device == "cuda" for cell in suite.cells)
plan = fingerprint.text_hash(suite.plan())


def columns_of(some):
    """The table of some cells by the wildcards of their folders."""
    return dataclasses.replace(suite, cells=tuple(some)).columns()


RECORD = "results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/{record}"


def records_of(*records):
    """A function for an input: these files of records of all cells that are needed.

    Where seeds grow, those that the looks ask for; Snakemake takes a look where its answer is missing.
    """

    def files(wildcards):
        until = wildcards.get("look")
        for look in range(1, int(until) if until else len(suite.growth.seeds) if suite.growth else 1):
            if not growth.still_open(Path(checkpoints.look.get(suite=suite.name, look=look).output.open)):
                break
        some = columns_of(growth.reached(suite, Path("results"), int(until) if until else None))
        table = {name: values * len(records) for name, values in some.items()}
        return expand(RECORD, zip, **table, record=[one for one in records for _ in some["suite"]])

    return files


def memory_of(cell):
    """MiB of memory. Cells whose replay buffers do not fit together then run one after another."""
    return needed["/".join(cell)]


def minutes_of(cell):
    """Minutes that a cluster reserves: the suite's time limit and GRACE_MIN, else several times the estimate."""
    return math.ceil(suite.time_limit * 60) + GRACE_MIN if suite.time_limit else minutes["/".join(cell)]


onstart:
    if workflow.is_main_process:
        splits.keep(suite, Path("results"))
        replaced.keep(suite.path, suite.changed, Path("results", suite.name))


onsuccess:
    summary = Path("results", suite.name, "summary.txt")
    if summary.is_file():  # there is none where only records were asked for
        logger.info(summary.read_text(encoding="utf-8"))


onerror:
    logger.error(f"suite {suite.name}: not finished, see above; run the same command to continue")
