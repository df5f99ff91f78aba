#!/bin/bash
# Stands in for the portal's script, to try a site with: pulls two images, runs the init image on each node
# and JARVICE_CMD in the other. Change lines down to JARVICE_CMD. Braces are doubled, as the portal's are.
JOBOBJ_INTERACTIVE=False
JOBOBJ_APPDEFVERSION=2
JOBOBJ_ARCH=x86_64
JOBOBJ_NAE=containers
JOBOBJ_REPO=registry.example.com/group/app:1
JOBOBJ_USER=demo
JOBOBJ_DOCKER_SECRET={{"server":"registry.example.com","username":"robot","password":"not-a-real-secret"}}
JOBOBJ_DEVICES=["exclusive=False"]
JOBOBJ_WALLTIME=00:30:00
JARVICE_CPU_CORES=1
JARVICE_CMD=ZWNobyAiVGhlIGFwcGxpY2F0aW9uIHJ1bnMgb24gJChob3N0bmFtZSkuIgo=

{DOWNSTREAM_PARAMETERS}
# These come exported. No container, and no program but the one that pulls, is to have the logins.
export -n JARVICE_{{INIT_,}}DOCKER_{{USERNAME,PASSWORD}}

say() {{ echo "$PROCESS_NODENAME: $*"; }}
fail() {{
    say "$*"
    [ "$PROCESS_PROCID" != 0 ] || /bin/echo JARVICE_CMD_FAILURE
    exit 1
}}
# All nodes see this folder. The downstream removes it when it has given the exit status. Slurm may start a job again.
folder="${{JARVICE_JOB_SCRATCH_DIR:-$PWD/}}.jarvice/jobs/$JOB_JOBID/${{SLURM_RESTART_COUNT:-0}}"
mkdir -p "$folder" || fail "$folder cannot be made."
overlay=
finish() {{
    trap '' HUP INT QUIT TERM USR1 USR2 # Slurm signals what runs in here too, more than once
    [ "$PROCESS_PROCID" != 0 ] || : >"$folder/ended"
    [ -z "$overlay" ] || rm -rf "$overlay"
}}
trap finish EXIT
wait_for() {{
    local end=$((SECONDS + 1200))
    until [ -e "$folder/$1" ]; do
        [ ! -e "$folder/ended" ] || fail "The first task has ended."
        [ $SECONDS -lt $end ] || fail "No $folder/$1 in 1200 s. Do all nodes see this folder?"
        sleep 0.5
    done
}}

singularity="$(command -v apptainer || command -v singularity)" || fail "No singularity in $PATH."
# Apptainer knows the variables of Singularity as well.
export SINGULARITY_TMPDIR="$JARVICE_SINGULARITY_TMPDIR"
[ -z "$SCHTTP_PROXY" ] || export http_proxy="$SCHTTP_PROXY"
[ -z "$SCHTTPS_PROXY" ] || export https_proxy="$SCHTTPS_PROXY"
[ -z "$SCNO_PROXY" ] || export no_proxy="$SCNO_PROXY"

pull() {{ # pull IMAGE FILE USERNAME PASSWORD
    local login="without a login" start=$SECONDS partial="$2.$JOB_JOBID"
    [ ! -e "$2" ] || return 0
    [ -z "$3" ] || login="with its login"
    (
        SINGULARITY_DOCKER_USERNAME="$(base64 --decode <<<"$3")"
        SINGULARITY_DOCKER_PASSWORD="$(base64 --decode <<<"$4")"
        [ -z "$3" ] || export SINGULARITY_DOCKER_USERNAME SINGULARITY_DOCKER_PASSWORD
        exec "$singularity" "$SV_FLAG" pull --force --disable-cache "$partial" "$1"
    ) || {{ rm -f "$partial"; fail "The image $1 cannot be pulled $login. The reason is above."; }}
    mv "$partial" "$2" || fail "$2 cannot be made."
    say "$1 was pulled $login in $((SECONDS - start)) s."
}}
init="$folder/init.sif" app="$folder/app.sif"
global="$JARVICE_JOB_GLOBAL_SCRATCH_DIR"
if [ "$JARVICE_JOB_APP_IS_IN_GLOBAL_REGISTRIES" = True ] && [ -n "$global" ] && [ -w "$global.jarvice/images" ]; then
    app="$global.jarvice/images/${{JARVICE_APP_IMAGE//[^A-Za-z0-9._-]/+}}.sif"
    umask 022 # for other users' jobs too
fi
if [ "$PROCESS_PROCID" = 0 ]; then
    pull "$JARVICE_INIT_IMAGE" "$init" "$JARVICE_INIT_DOCKER_USERNAME" "$JARVICE_INIT_DOCKER_PASSWORD"
    pull "$JARVICE_APP_IMAGE" "$app" "$JARVICE_DOCKER_USERNAME" "$JARVICE_DOCKER_PASSWORD"
    : >"$folder/pulled"
fi
wait_for pulled

size="$JARVICE_SINGULARITY_OVERLAY_SIZE" options=(--writable-tmpfs)
if [ "$size" != 0 ]; then
    overlay="$(mktemp --directory "$SINGULARITY_TMPDIR/jarvice-example.$JOB_JOBID.XXX")" || fail "No overlay."
    options=(--overlay "$overlay/image")
    "$singularity" "$SV_FLAG" overlay create --size "$size" "$overlay/image" || fail "No overlay of $size MB."
fi
[ -z "$JOB_GPUS_PER_NODE" ] || options+=(--nv)
"$singularity" "$SV_FLAG" exec "${{options[@]}}" "$init" sh -c ": >/written" ||
    fail "The init image does not run, or cannot be written to."
say "The init image runs as $JOB_LOCAL_USER and can be written to."
: >"$folder/ready.$PROCESS_PROCID"

if [ "$PROCESS_PROCID" != 0 ]; then # srun ends this when the first task is killed
    until [ -e "$folder/ended" ]; do sleep 0.5; done
    exit
fi
for ((task = 1; task < JOB_NNODES; task++)); do wait_for "ready.$task"; done
"$singularity" "$SV_FLAG" exec "${{options[@]}}" "$app" sh -c "$(base64 --decode <<<"$JARVICE_CMD")"
code=$?
say "The application ended with exit code $code."
if [ "$code" = 0 ]; then /bin/echo JARVICE_CMD_SUCCESS; else /bin/echo JARVICE_CMD_FAILURE; fi
