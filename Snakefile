"""rlparity: train agents beside their references, over many seeds, and report verdicts.

snakemake --cores all                                                   the default suite, cartpole
snakemake --cores all --configfile workflow/suites/classic.yaml         another suite
snakemake --cores all --config 'algorithms=[ppo]' 'seeds=[0-4]'         a part of it
snakemake --cores all --configfile workflow/suites/sensitivity.yaml     planted bugs, and which layers detect them
"""

from snakemake.utils import min_version

min_version("9.27")


if not workflow.configfiles:

    configfile: "workflow/suites/cartpole.yaml"


localrules:  # rules that take seconds, not worth a job on a cluster
    all,


if config.get("kind") == "sensitivity":

    include: "workflow/rules/validate.smk"

    rule all:
        input:
            page=expand("reports/{suite}/index.html", suite=config["name"]),
            index="reports/index.html",

else:

    include: "workflow/rules/common.smk"

    rule all:
        input:
            records=records_of("episodes.parquet", "evaluations.parquet", "run.json"),
            report=expand("reports/{suite}/index.html", suite=suite.name),
            index="reports/index.html",
            verdict=expand("results/{suite}/finished", suite=suite.name),

    include: "workflow/rules/train.smk"
    include: "workflow/rules/analyse.smk"
    include: "workflow/rules/present.smk"
