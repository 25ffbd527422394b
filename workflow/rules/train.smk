"""Train cells, each a block of seeds, and a seed of each reference whose records are shipped.

Records of shipped references are in `results` before any job is planned.

An interrupted cell resumes from its folder `checkpoint`. That folder is no output of the rule, because Snakemake
removes outputs of failed jobs.
"""


rule train:
    input:
        cell="results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/cell.json",
    output:
        episodes="results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/episodes.parquet",
        evaluations="results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/evaluations.parquet",
        progress="results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/progress.parquet",
        run="results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/run.json",
    log:
        "results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/train.log",
    benchmark:
        "results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/cost.tsv"
    retries: 2
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=int(on_gpu),
        mem_mb=memory_of,
        runtime=minutes_of,
        time_limit=math.ceil(suite.time_limit * 3600),
    shell:
        "exec rlparity dev cell --cell {input.cell:q} --time-limit {resources.time_limit} >{log:q} 2>&1"


if live:

    rule live_check:
        input:
            cell="results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/cell.json",
            run="results/{suite}/{environment}/{implementation}/{algorithm}/{seeds}/run.json",
        output:
            check="results/{suite}/live/{environment}/{implementation}/{algorithm}/{seeds}/check.json",
        log:
            "results/{suite}/live/{environment}/{implementation}/{algorithm}/{seeds}/train.log",
        benchmark:
            "results/{suite}/live/{environment}/{implementation}/{algorithm}/{seeds}/cost.tsv"
        retries: 2
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            gpu=int(on_gpu),
            mem_mb=memory_of,
            runtime=minutes_of,
            time_limit=math.ceil(suite.time_limit * 3600),
        shell:
            "exec rlparity dev confirm --cell {input.cell:q} --time-limit {resources.time_limit} >{log:q} 2>&1"
