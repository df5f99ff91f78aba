#!/bin/bash
#SBATCH --job-name=jarvice_:from-file
#SBATCH --output=.jarvice/mario+from-file.out
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append

control=.jarvice/control/mario+from-file
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
started="$(date +%s)"
bash "$control/job.sh" </dev/null
code=$?
[ "$SLURM_PROCID" = 0 ] || exit "$code"
echo "$SLURM_JOB_ID $code $started $(date +%s)" >"$control/exit.new" && mv "$control/exit.new" "$control/exit"
exit "$code"

END_OF_TASK

# What runs the container; every node reads this one file.
head --bytes=-1 >"$control/job.sh" <<'END_OF_SCRIPT' || exit 1
#!/bin/bash
control="${0%/*}"
[ "$SLURM_PROCID" = 0 ] || exit 0
# Slurm signals the application too; once there is one, this waits for its end, and cleans up.
trap : HUP INT QUIT USR1 USR2
trap 'exit 143' TERM
singularity="$(command -v apptainer || command -v singularity)" || {
    echo "The job's container cannot run: ${SLURMD_NODENAME:-this node} has neither apptainer nor singularity in its PATH." >&2
    exit 1
}
prefix=SINGULARITY
[ "${singularity##*/}" != apptainer ] || prefix=APPTAINER
# shellcheck disable=SC2034 # nothing is pulled
talk=(--quiet)
tmpdir=/tmp
export "${prefix}_TMPDIR=$tmpdir"
IFS= read -r image <"$control/image" || exit 1

writable=(--writable-tmpfs)

# The container gets no variable of the host but these, and gets them as they are.
for variable in $(compgen -e); do
    case $variable in
        APPTAINERENV_* | SINGULARITYENV_*) unset "$variable" ;;
        SLURM_JWT) ;;
        SLURM* | PMI* | JOB_* | PROCESS_* | CUDA_VISIBLE_DEVICES | ROCR_VISIBLE_DEVICES | GPU_DEVICE_ORDINAL | ZE_AFFINITY_MASK)
            export "${prefix}ENV_$variable=${!variable}" ;;
    esac
done
export "${prefix}_NO_EVAL=1"

options=(--cleanenv "${writable[@]}")
options+=(--bind "$control/command:/.jarvice-command:ro")

# Slurm signals the programs behind the container's file systems too; they must not go before the application.
trap : TERM
PATH="$control/mounts:$PATH" "$singularity" "${talk[@]}" exec "${options[@]}" "$image" \
/.jarvice-command 
code=$?
exit "$code"

END_OF_SCRIPT

singularity="$(command -v apptainer || command -v singularity)" || {
    echo "The job's container cannot run: ${SLURMD_NODENAME:-this node} has neither apptainer nor singularity in its PATH." >&2
    exit 1
}
prefix=SINGULARITY
[ "${singularity##*/}" != apptainer ] || prefix=APPTAINER
# shellcheck disable=SC2034 # nothing is pulled
talk=(--quiet)
tmpdir=/tmp
export "${prefix}_TMPDIR=$tmpdir"

image='/shared/images/it'"'"'s an app.sif'
if [ ! -r "$image" ]; then
    echo "The image $image is not there, or cannot be read." >&2
    exit 1
fi
echo "$image" >"$control/image"

mkdir -p "$control/mounts" || exit 1
for name in squashfuse_ll squashfuse fuse2fs fuse-overlayfs; do
    program="$(type -P "$name")" || continue
    {
        printf '#!/bin/bash\nprogram=%q\n' "$program"
        cat <<'END_OF_MOUNT'
trap '' HUP INT QUIT TERM USR1 USR2
# An overlay's file is open by now. It loses its name, so that it goes with the container, however that ends.
file="$(/usr/bin/readlink /proc/self/fd/3)"
[[ ${program##*/} != fuse2fs || $file != */jarvice-overlay.*/image ]] || /usr/bin/rm -rf "${file%/*}"
exec "$program" "$@"
END_OF_MOUNT
    } >"$control/mounts/$name" && chmod 700 "$control/mounts/$name" || exit 1
done

# The job's own script, as the container sees it.
head --bytes=-1 >"$control/command" <<'END_OF_SCRIPT' || exit 1
#!/bin/sh
echo "here: $PWD"

END_OF_SCRIPT
chmod 700 "$control/command"

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
