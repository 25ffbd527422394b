"""Records -> tables -> statistics and verdicts."""


rule collect:
    input:
        records=expand(
            "results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/{record}",
            zip,
            **cells_with("episodes.parquet", "evaluations.parquet", "progress.parquet", "run.json"),
        ),
    output:
        episodes="results/{suite}/tables/episodes.parquet",
        evaluations="results/{suite}/tables/evaluations.parquet",
        progress="results/{suite}/tables/progress.parquet",
        runs="results/{suite}/tables/runs.parquet",
        plan="results/{suite}/tables/plan.json",
    log:
        "results/{suite}/tables/collect.log",
    benchmark:
        "results/{suite}/tables/collect.tsv"
    params:
        suite=str(suite.path),
        narrow=json.dumps(dict(suite.narrowed)),
        plan=plan,
        code=fingerprint.stage("collect"),
    conda:
        "../../environment.yml"
    shell:
        "exec rlparity collect {params.suite:q} --narrow {params.narrow:q} >{log:q} 2>&1"


rule analyse:
    input:
        episodes="results/{suite}/tables/episodes.parquet",
        evaluations="results/{suite}/tables/evaluations.parquet",
        progress="results/{suite}/tables/progress.parquet",
        runs="results/{suite}/tables/runs.parquet",
        plan="results/{suite}/tables/plan.json",
        published=sorted(map(str, Path("workflow/resources/published").glob("*.csv"))),
    output:
        scores="reports/{suite}/scores.csv",
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
        curves="reports/{suite}/curves.csv",
        seed_curves="reports/{suite}/seed_curves.csv",
        profiles="reports/{suite}/profiles.csv",
        improvement="reports/{suite}/improvement.csv",
        thresholds="reports/{suite}/thresholds.csv",
        cost="reports/{suite}/cost.csv",
    log:
        "results/{suite}/tables/analyse.log",
    benchmark:
        "results/{suite}/tables/analyse.tsv"
    params:
        code=fingerprint.stage("analyse"),
    conda:
        "../../environment.yml"
    shell:
        "exec rlparity analyse {wildcards.suite} >{log:q} 2>&1"
