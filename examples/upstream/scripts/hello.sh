#!/bin/bash
JOBOBJ_INTERACTIVE=False
JOBOBJ_APPDEFVERSION=2
JOBOBJ_ARCH=x86_64
JOBOBJ_NAE=hello
JOBOBJ_REPO=ubuntu
JOBOBJ_USER=demo
JOBOBJ_DEVICES=["exclusive=False"]
JOBOBJ_WALLTIME=00:05:00
JARVICE_CPU_CORES=1
JARVICE_CMD=aGVsbG8=

{DOWNSTREAM_PARAMETERS}

if [ "$PROCESS_PROCID" != 0 ]; then
    exit 0
fi
echo "Hello from $PROCESS_NODENAME, this is job $JOB_JOBID of $JOB_LOCAL_USER."
for step in 1 2 3; do
    echo "step $step"
    sleep 1
done
/bin/echo JARVICE_CMD_SUCCESS
