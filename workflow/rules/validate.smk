"""Try planted bugs on the layers of validation, and write the page of what they detect.

Outcomes of trials are written below results/<suite>/trials. That folder is no output of a rule, because
Snakemake removes outputs of failed jobs: after an interruption, finished trials are used.
"""

import sys
from pathlib import Path

from rlparity import project_files, registry
from rlparity.errors import UserError
from rlparity.provenance import definitions, fingerprint
from rlparity.suites import hyperparameters, yaml_reader
from rlparity.suites import suite as suites

hyperparameters.put_command_on_path()
project_files.put_working_folder_on_path()
try:
    suites.check_writable(Path("results"), Path("reports"))
    if len(workflow.configfiles) > 1:
        raise UserError(f"--configfile: one suite at a time, not {len(workflow.configfiles)}")
    raw = yaml_reader.read(Path(workflow.configfiles[0]))
    schema = project_files.schema("sensitivity.schema.yaml")
    if problems := list(yaml_reader.problems(raw, schema)):
        raise UserError("\n  - ".join([f"Bad suite {workflow.configfiles[0]}:", *problems]))
    if workflow.config_settings.config:
        raise UserError("--config: a suite of planted bugs takes none; write a smaller suite")
except UserError as error:
    sys.exit(f"rlparity: {error}")


wildcard_constraints:
    suite=raw["name"],


tried = ["rlparity.validation.sensitivity.run", "rlparity.analysis.sequential_tests"]
tried += [entry.module for entry in registry.AGENTS.values()]
tried += [registry.LAYERS[layer] for layer in raw["layers"] if layer in registry.LAYERS]
tried += ["rlparity.analysis.checks.run"] * ("analysis" in raw["layers"])
code = definitions.digest(tuple(tried))


rule try_mutations:
    input:
        suite=workflow.configfiles[0],
    output:
        trials="results/{suite}/trials.json",
    log:
        "results/{suite}/try_mutations.log",
    benchmark:
        "results/{suite}/try_mutations.tsv"
    conda:
        "../../environment.yml"
    threads: workflow.cores
    params:
        code=code,
    shell:
        "exec rlparity dev sensitivity {input.suite:q} --jobs {threads} >{log:q} 2>&1"


rule render_sensitivity:
    input:
        trials="results/{suite}/trials.json",
    output:
        matrix="reports/{suite}/matrix.csv",
        trials="reports/{suite}/trials.csv",
        page="reports/{suite}/index.html",
        twin="reports/{suite}/README.md",
    log:
        "results/{suite}/render.log",
    conda:
        "../../environment.yml"
    params:
        code=fingerprint.stage("sensitivity"),
    shell:
        "exec rlparity dev sensitivity {wildcards.suite:q} --page >{log:q} 2>&1"


rule list_reports:
    input:
        page=expand("reports/{suite}/index.html", suite=raw["name"]),
    output:
        index="reports/index.html",
    log:
        expand("results/{suite}/index.log", suite=raw["name"]),
    conda:
        "../../environment.yml"
    params:
        code=fingerprint.stage("report"),
    shell:
        "exec rlparity dev index >{log:q} 2>&1"


onsuccess:
    logger.info(Path("results", raw["name"], "render.log").read_text(encoding="utf-8"))


onerror:
    logger.error(f"suite {raw['name']}: not finished, see above; run the same command to continue")
