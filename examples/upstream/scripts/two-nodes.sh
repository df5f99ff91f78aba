#!/bin/bash
JOBOBJ_INTERACTIVE=False
JOBOBJ_APPDEFVERSION=3
JOBOBJ_ARCH=x86_64
JOBOBJ_NAE=solver
JOBOBJ_REPO=registry.example.com/physics/solver:4.2
JOBOBJ_USER=x-doe
JOBOBJ_DEVICES=["partition=normal", "exclusive=False", "overlay=1200", "sbatch_comment=two nodes, \"one\" job"]
JOBOBJ_GPUS=0
JOBOBJ_RAM=2
JOBOBJ_WALLTIME=01:30:00
JARVICE_CPU_CORES=2
JARVICE_CMD=c29sdmU=

{DOWNSTREAM_PARAMETERS}

echo "task $PROCESS_PROCID of $JOB_NNODES on $PROCESS_NODENAME"
if [ "$PROCESS_PROCID" = 0 ]; then
    echo "nodes: $JOB_JOB_FORMATED_NODELIST"
    printf '%s\n' "image: ${{JARVICE_APP_IMAGE}}" 'quotes: it'"'"'s "here"'
    cat <<'TEXT'
a here-document with {{braces}} and $(nothing that runs)
TEXT
    /bin/echo JARVICE_CMD_SUCCESS
fi
