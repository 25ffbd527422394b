"""Collect records in tables; compute statistics and verdicts."""


localrules:
    collect,
    analyse,


if suite.growth:

    localrules:
        look,

    checkpoint look:
        input:
            records=records_of("episodes.parquet", "evaluations.parquet", "progress.parquet", "run.json"),
        output:
            open="results/{suite}/looks/{look}.json",
        log:
            "results/{suite}/looks/{look}.log",
        benchmark:
            "results/{suite}/looks/{look}.tsv"
        conda:
            "../../environment.yml"
        params:
            suite=str(suite.path),
            narrow=json.dumps(dict(suite.narrowed)),
            plan=plan,
            code=fingerprint.stage("analyse"),
        shell:
            "exec rlparity dev look {params.suite:q} --look {wildcards.look} --narrow {params.narrow:q} >{log:q} 2>&1"


rule collect:
    input:
        records=records_of("episodes.parquet", "evaluations.parquet", "progress.parquet", "run.json"),
        live=expand(
            "results/{suite}/live/{environment}/{implementation}/{algorithm}/{seeds}/check.json",
            zip,
            **columns_of(live),
        ),
    output:
        live_checks="results/{suite}/tables/live_checks.json",
        live_evaluations="results/{suite}/tables/live_evaluations.parquet",
        episodes="results/{suite}/tables/episodes.parquet",
        evaluations="results/{suite}/tables/evaluations.parquet",
        progress="results/{suite}/tables/progress.parquet",
        runs="results/{suite}/tables/runs.parquet",
        plan="results/{suite}/tables/plan.json",
    log:
        "results/{suite}/tables/collect.log",
    benchmark:
        "results/{suite}/tables/collect.tsv"
    conda:
        "../../environment.yml"
    params:
        suite=str(suite.path),
        narrow=json.dumps(dict(suite.narrowed)),
        plan=plan,
        code=fingerprint.stage("collect"),
    shell:
        "exec rlparity dev collect {params.suite:q} --narrow {params.narrow:q} >{log:q} 2>&1"


rule analyse:
    input:
        episodes="results/{suite}/tables/episodes.parquet",
        evaluations="results/{suite}/tables/evaluations.parquet",
        progress="results/{suite}/tables/progress.parquet",
        runs="results/{suite}/tables/runs.parquet",
        plan="results/{suite}/tables/plan.json",
        live_checks="results/{suite}/tables/live_checks.json",
        live_evaluations="results/{suite}/tables/live_evaluations.parquet",
        published=sorted(map(str, project_files.find(project_files.PUBLISHED).glob("*.csv"))),
    output:
        scores=report(
            "reports/{suite}/scores.csv",
            caption="../report/scores.rst",
            category="Tables",
        ),
        summary=report(
            "reports/{suite}/summary.csv",
            caption="../report/summary.rst",
            category="Tables",
        ),
        verdicts=report(
            "reports/{suite}/verdicts.csv",
            caption="../report/verdicts.rst",
            category="Tables",
        ),
        paper=report(
            "reports/{suite}/paper.csv",
            caption="../report/paper.rst",
            category="Tables",
        ),
        curves=report(
            "reports/{suite}/curves.csv",
            caption="../report/curves.rst",
            category="Tables",
        ),
        seed_curves=report(
            "reports/{suite}/seed_curves.csv",
            caption="../report/seed_curves.rst",
            category="Tables",
        ),
        profiles=report(
            "reports/{suite}/profiles.csv",
            caption="../report/profiles.rst",
            category="Tables",
        ),
        improvement=report(
            "reports/{suite}/improvement.csv",
            caption="../report/improvement.rst",
            category="Tables",
        ),
        thresholds=report(
            "reports/{suite}/thresholds.csv",
            caption="../report/thresholds.rst",
            category="Tables",
        ),
        cost=report(
            "reports/{suite}/cost.csv",
            caption="../report/cost.rst",
            category="Tables",
        ),
        further=[
            report(
                f"reports/{{suite}}/{name}.csv",
                caption=f"../report/{name}.rst",
                category="Tables",
            )
            for name in (["live_checks"] if live else []) + (["looks"] if suite.growth else [])
        ],
        atari=[
            report(
                f"reports/{{suite}}/{name}.csv",
                caption=f"../report/{name}.rst",
                category="Tables",
            )
            for name in (["human_normalised", "dqn2013"] if has_atari else [])
        ],
    log:
        "results/{suite}/tables/analyse.log",
    benchmark:
        "results/{suite}/tables/analyse.tsv"
    conda:
        "../../environment.yml"
    params:
        code=fingerprint.stage("analyse"),
    shell:
        "exec rlparity dev analyse {wildcards.suite:q} >{log:q} 2>&1"
