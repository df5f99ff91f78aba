#!/bin/bash
JOBOBJ_INTERACTIVE=False
JOBOBJ_APPDEFVERSION=2
JOBOBJ_ARCH=aarch64
JOBOBJ_NAE=app-with-all
JOBOBJ_REPO=registry.example.com/group/app:1
JOBOBJ_USER=reverse_engineer-demo
JOBOBJ_CTRSECRET=eyJhdXRocyI6eyJodHRwczovL3JlZ2lzdHJ5LmV4YW1wbGUuY29tIjp7ImF1dGgiOiJkWE5sY2pwdWIzUXRZUzF5WldGc0xYQmhjM04zYjNKayJ9fX0=
JOBOBJ_DOCKER_SECRET={{"server": "registry.example.com", "username": "robot", "password": "not-a-real-secret"}}
JOBOBJ_DEVICES=["overlay=0", "partition=gpu", "exclusive=False", "sbatch_account=nintendo", "sbatch_requeue="]
JOBOBJ_GPUS=2
JOBOBJ_RAM=8
JOBOBJ_LICENSES=feat:2,feat3:1
JOBOBJ_WALLTIME=26:00:00
JARVICE_CPU_CORES=4
JARVICE_CMD=ZXZlcnl0aGluZw==

{DOWNSTREAM_PARAMETERS}

env | grep -c '^JARVICE_'
/bin/echo JARVICE_CMD_SUCCESS
