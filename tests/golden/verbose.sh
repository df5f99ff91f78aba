#!/bin/bash
#SBATCH --job-name=jarvice_20240102030405-ABCDE-talk-demo_s1
#SBATCH --output=.jarvice/20240102030405-ABCDE-talk-demo_s1.out
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive

control=.jarvice/control/20240102030405-ABCDE-talk-demo_s1
[[ "$control" == /* ]] || control="$PWD/$control"
# Nobody else reads it. A mask and not chmod, which would undo what default ACLs of a site let in.
mkdir -p "${control%/*}" && (umask 077 && mkdir -p "$control") || exit 1
if [ ! -O "$control" ] || [ -L "$control" ]; then
    echo "Another user has a job of this name: $control is not $USER's. Submit it under a new name." >&2
    exit 1
fi

# A name runs once. Of jobs that wait or run the first one has it, whichever Slurm starts first.
first="$SLURM_JOB_ID"
while read -r other; do
    if [[ $other =~ ^[0-9]+$ ]] && [ "$other" -lt "$first" ]; then first="$other"; fi
done < <(squeue --noheader --all --me --name="$SLURM_JOB_NAME" --format=%A 2>/dev/null)
if [ "$first" != "$SLURM_JOB_ID" ]; then
    echo "This job's name is that of job $first, which was submitted before; job $SLURM_JOB_ID ends." >&2
    exit 1
fi
# Another job that was started under it keeps it. A requeued job keeps its id, and Slurm counts its runs.
this_run="${SLURM_RESTART_COUNT:-0}"
if ! (set -o noclobber && echo "$SLURM_JOB_ID $this_run" >"$control/started") 2>/dev/null; then
    # Without a whole id in it nobody has run: the file system was full, or the node went down before it was kept.
    for _ in {1..5}; do
        read -r first run <"$control/started" && break
        first=""
        sleep 1
    done
    if [ -n "$first" ] && [ "$first" != "$SLURM_JOB_ID" ]; then
        echo "This job's name was started as job $first already; job $SLURM_JOB_ID ends." >&2
        exit 1
    elif [ -n "$first" ] && [ "$run" = "$this_run" ]; then
        echo "Slurm has lost what it knew of job $SLURM_JOB_ID, which was started already; it is not run again." >&2
        read -r _ code _ 2>/dev/null <"$control/exit" || code=1
        exit "$code"
    fi
    echo "$SLURM_JOB_ID $this_run" >"$control/started" || exit 1
fi
rm -f "$control"/{begun,exit,failed,output,last,last-output}
# Scripts may hold registry logins, and whoever asks for the exit status may not be able to remove them.
leftovers=("$control"/{secrets,job.sh,job.sh.new,task.sh,command})
# Slurm signals what removes them too, and more than once.
trap 'trap "" HUP INT QUIT TERM USR1 USR2; rm -f "${leftovers[@]}"' EXIT

# What each task does; it runs the script below.
head --bytes=-1 >"$control/task.sh" <<'END_OF_TASK' || exit 1
#!/bin/bash
# One task a node. The first runs the application; the others wait for it.
control="$1"
# From here on srun is not tried again.
: >"$control/begun" || exit 1
# Slurm's environment in the words that the upstream's script knows.
export PROCESS_PROCID="$SLURM_PROCID"
export PROCESS_NODENAME="$SLURMD_NODENAME"
export JOB_JOBID="$SLURM_JOB_ID"
export JOB_JOB_NODELIST="$SLURM_JOB_NODELIST"
export JOB_NNODES="$SLURM_NNODES"
export JOB_NTASKS="$SLURM_NTASKS"
export JOB_SUBMIT_DIR="$SLURM_SUBMIT_DIR"
export JOB_GPUS_PER_NODE="${SLURM_GPUS_PER_NODE:-}"
# One line of host names. The spelling is the interface.
JOB_JOB_FORMATED_NODELIST="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | paste --serial --delimiters=' ')"
export JOB_JOB_FORMATED_NODELIST

# Slurm signals every process of a task. What runs in here ends as it likes, and is waited for.
trap : HUP INT QUIT TERM USR1 USR2
if [ "$SLURM_PROCID" != 0 ]; then
    bash "$control/job.sh" </dev/null
    exit
fi

started="$(date +%s)"
# The first task's output is passed on as it comes. Its last part is kept besides, for the marker.
mkfifo "$control/output" "$control/last"
undisturbed() {
    trap '' HUP INT QUIT TERM USR1 USR2
    exec "$@"
}
undisturbed tail --bytes=65536 <"$control/last" >"$control/last-output" &
undisturbed tee "$control/last" <"$control/output" &
copier=$!
bash "$control/job.sh" </dev/null >"$control/output"
code=$?

# A process that the script left behind may hold the pipe open: wait for it, but not for ever.
for _ in {1..50}; do
    kill -0 "$copier" 2>/dev/null || break
    sleep 0.1
done
kill -KILL "$copier" 2>/dev/null
until wait; do :; done

# The job fails when the first task's exit code or its last marker line says so.
marker="$(tr --delete '\r' <"$control/last-output" |
    grep --text --line-regexp --extended-regexp 'JARVICE_CMD_(SUCCESS|FAILURE)' | tail --lines=1)"
if [ "$code" = 0 ] && [ "$marker" = JARVICE_CMD_FAILURE ]; then
    code=1
fi
echo "$SLURM_JOB_ID $code $started $(date +%s)" >"$control/exit.new" && mv "$control/exit.new" "$control/exit"
exit "$code"

END_OF_TASK

# The upstream's script, byte for byte; every node reads this one file.
head --bytes=-1 >"$control/job.sh" <<'END_OF_SCRIPT' || exit 1
#!/bin/bash
JOBOBJ_INTERACTIVE=False
JOBOBJ_APPDEFVERSION=2
JOBOBJ_REPO=ubuntu
JARVICE_CPU_CORES=1
# What the downstream tells the upstream's script.
export JARVICE_JOB_SCRATCH_DIR=''
export JARVICE_JOB_GLOBAL_SCRATCH_DIR=''
export JARVICE_JOB_APP_IS_IN_GLOBAL_REGISTRIES=False
export SINGULARITYENV_JARVICE_SERVICE_PORT=2228
export SINGULARITYENV_JARVICE_SSH_PORT=2227
export JARVICE_SINGULARITY_TMPDIR=/tmp
export JARVICE_SINGULARITY_OVERLAY_SIZE=600
export JARVICE_INIT_DOCKER_USERNAME=''
export JARVICE_INIT_DOCKER_PASSWORD=''
export JARVICE_DOCKER_USERNAME=''
export JARVICE_DOCKER_PASSWORD=''
export JARVICE_APP_IMAGE=docker://ubuntu
export JARVICE_INIT_IMAGE=docker://us-docker.pkg.dev/jarvice-system/images/initv2:latest
export JARVICE_CMD=''
export SV=true
export SV_FLAG=-v
export SCHTTP_PROXY=''
export SCHTTPS_PROXY=''
export SCNO_PROXY=''
export JOB_LOCAL_USER="$USER"

"$SV" && set -x
/bin/echo JARVICE_CMD_SUCCESS

END_OF_SCRIPT

for try in 1 2; do
    srun --kill-on-bad-exit=1 --wait=0 --nodes=1 --ntasks=1 --ntasks-per-node=1 \
        --cpus-per-task=1 bash "$control/task.sh" "$control"
    srun_code=$?
    if [ "$srun_code" = 0 ] || [ "$try" = 2 ] || [ -n "$(cd "$control" && ls -d begun exit failed output 2>/dev/null)" ]; then break; fi
    # No task has begun: srun gives up at once where slurmctld is away. Once it answers there is another try.
    for _ in {1..120}; do
        ! squeue --noheader --jobs="$SLURM_JOB_ID" >/dev/null 2>&1 || break
        sleep 5
    done
done

leftovers+=("$control/job.sh")
# srun returns the highest code of all tasks; the first task's own code decides, when it came to one.
if read -r _ code _ 2>/dev/null <"$control/exit"; then
    exit "$code"
fi
[ "$srun_code" != 0 ] || srun_code=1
exit "$srun_code"
