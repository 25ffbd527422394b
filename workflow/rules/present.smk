"""Draw figures, write films and pages, and report the seeds that failed."""


localrules:
    draw,
    render,
    list_suites,
    check_seeds,


if suite.films:

    rule film:
        input:
            plan="results/{suite}/tables/plan.json",
            runs="results/{suite}/tables/runs.parquet",
        output:
            manifest=update("reports/{suite}/films/films.json"),
        log:
            "results/{suite}/tables/film.log",
        benchmark:
            "results/{suite}/tables/film.tsv"
        conda:
            "../../environment.yml"
        params:
            code=fingerprint.stage("films"),
        shell:
            "exec rlparity dev films {wildcards.suite:q} >{log:q} 2>&1"


rule draw:
    input:
        scores="reports/{suite}/scores.csv",
        summary="reports/{suite}/summary.csv",
        verdicts="reports/{suite}/verdicts.csv",
        paper="reports/{suite}/paper.csv",
        curves="reports/{suite}/curves.csv",
        seed_curves="reports/{suite}/seed_curves.csv",
        profiles="reports/{suite}/profiles.csv",
        improvement="reports/{suite}/improvement.csv",
        thresholds="reports/{suite}/thresholds.csv",
        cost="reports/{suite}/cost.csv",
    output:
        figures=report(
            directory("reports/{suite}/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
        ),
    log:
        "results/{suite}/tables/draw.log",
    benchmark:
        "results/{suite}/tables/draw.tsv"
    conda:
        "../../environment.yml"
    params:
        code=fingerprint.stage("draw"),
    shell:
        "exec rlparity dev draw {wildcards.suite:q} >{log:q} 2>&1"


rule render:
    input:
        figures="reports/{suite}/figures",
        films=["reports/{suite}/films/films.json"] if suite.films else [],
        verdicts="reports/{suite}/verdicts.csv",
        runs="results/{suite}/tables/runs.parquet",
    output:
        page=report(
            "reports/{suite}/index.html",
            caption="../report/page.rst",
            category="Report",
        ),
        twin="reports/{suite}/README.md",
        summary="results/{suite}/summary.txt",
    log:
        "results/{suite}/tables/render.log",
    benchmark:
        "results/{suite}/tables/render.tsv"
    conda:
        "../../environment.yml"
    params:
        code=fingerprint.stage("report"),
    shell:
        "exec rlparity dev render {wildcards.suite:q} --summary {output.summary:q} >{log:q} 2>&1"


rule list_suites:
    input:
        pages=expand("reports/{suite}/index.html", suite=suite.name),
    output:
        page="reports/index.html",
    log:
        expand("results/{suite}/tables/index.log", suite=suite.name),
    conda:
        "../../environment.yml"
    params:
        code=fingerprint.stage("report"),
    shell:
        "exec rlparity dev index >{log:q} 2>&1"


rule check_seeds:
    input:
        page="reports/{suite}/index.html",
        index="reports/index.html",
        plan="results/{suite}/tables/plan.json",
    output:
        done=touch("results/{suite}/finished"),
    log:
        "results/{suite}/tables/check.log",
    conda:
        "../../environment.yml"
    shell:
        "exec rlparity dev check {wildcards.suite:q} >{log:q} 2>&1"
