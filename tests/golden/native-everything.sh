#!/bin/bash
#SBATCH --job-name=jarvice_:everything
#SBATCH --output=/scratch/jobs/.jarvice/kirby+everything.out
#SBATCH --nodes=2
#SBATCH --ntasks=18
#SBATCH --ntasks-per-node=9
#SBATCH --partition=gpu
#SBATCH --exclusive
#SBATCH --mem=32G
#SBATCH --gpus-per-node=2
#SBATCH --time=10:30:00
#SBATCH --licenses=feat:2,feat3:1
#SBATCH --hold
#SBATCH --open-mode=append
#SBATCH --qos=high
#SBATCH --requeue
#SBATCH --nice=5

control=/scratch/jobs/.jarvice/control/kirby+everything
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
# One task for each rank. The first exit code that is not 0 is the job's.
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
if [ "$code" != 0 ]; then
    (set -o noclobber && echo "$code" >"$control/failed") 2>/dev/null
    ! read -r first 2>/dev/null <"$control/failed" || code="$first"
fi
[ "$SLURM_PROCID" = 0 ] || exit "$code"
echo "$SLURM_JOB_ID $code $started $(date +%s)" >"$control/exit.new" && mv "$control/exit.new" "$control/exit"
exit "$code"

END_OF_TASK

# What runs the container; every node reads this one file.
head --bytes=-1 >"$control/job.sh" <<'END_OF_SCRIPT' || exit 1
#!/bin/bash
control="${0%/*}"
# Slurm signals the application too; once there is one, this waits for its end, and cleans up.
trap : HUP INT QUIT USR1 USR2
trap 'exit 143' TERM
singularity="$(command -v apptainer || command -v singularity)" || {
    echo "The job's container cannot run: ${SLURMD_NODENAME:-this node} has neither apptainer nor singularity in its PATH." >&2
    exit 1
}
prefix=SINGULARITY
[ "${singularity##*/}" != apptainer ] || prefix=APPTAINER
talk=(--verbose)
machine="$(uname -m)" wanted=arm64
case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
if [ "$machine" != "$wanted" ]; then
    echo "The job is for $wanted, and ${SLURMD_NODENAME:-this node} is $machine." >&2
    exit 1
fi
tmpdir=/local/tmp
export "${prefix}_TMPDIR=$tmpdir"
IFS= read -r image <"$control/image" || exit 1

size=128
# New for this container: nobody else's file is ever used.
overlay="$(mktemp --directory "$tmpdir/jarvice-overlay.$SLURM_JOB_ID.XXXXXXXX")" || exit 1
# Slurm signals what removes it too, and more than once.
trap 'trap "" HUP INT QUIT TERM USR1 USR2; rm -rf "$overlay"' EXIT
free="$(df --output=avail --block-size=1M "$overlay" | tail --lines=1)"
if [ "$free" -lt "$size" ]; then
    echo "An overlay of $size MB does not fit: $tmpdir on $SLURMD_NODENAME has $free MB left." >&2
    exit 1
fi
# Older versions know no sparse files.
"$singularity" --silent overlay create --sparse --size "$size" "$overlay/image" 2>/dev/null ||
    "$singularity" "${talk[@]}" overlay create --size "$size" "$overlay/image" || {
    echo "The overlay of $size MB cannot be made in $tmpdir on $SLURMD_NODENAME: see above." >&2
    exit 1
}
writable=(--overlay "$overlay/image")

# The container gets no variable of the host but these, and gets them as they are.
for variable in $(compgen -e); do
    case $variable in
        APPTAINERENV_* | SINGULARITYENV_*) unset "$variable" ;;
        SLURM_JWT) ;;
        SLURM* | PMI* | JOB_* | PROCESS_* | CUDA_VISIBLE_DEVICES | ROCR_VISIBLE_DEVICES | GPU_DEVICE_ORDINAL | ZE_AFFINITY_MASK)
            export "${prefix}ENV_$variable=${!variable}" ;;
    esac
done
export "${prefix}ENV_"MODE='fast & $cheap'
export "${prefix}ENV_"THREADS=4
export "${prefix}ENV_"LINES_OF_TEXT=$'one\x0atwo'
export "${prefix}_NO_EVAL=1"

options=(--cleanenv "${writable[@]}")
options+=(--nv)
options+=(--bind /data:/data:ro)
options+=(--bind '/scratch/a folder:/work')
options+=(--pwd /work)
options+=(--bind "$control/command:/.jarvice-command:ro")

# Slurm signals the programs behind the container's file systems too; they must not go before the application.
trap : TERM
PATH="$control/mounts:$PATH" "$singularity" "${talk[@]}" exec "${options[@]}" "$image" \
/.jarvice-command '' 'a b' 'it'"'"'s' '$(id)' -- END_OF_SCRIPT '<SECRET2>'
code=$?
exit "$code"

END_OF_SCRIPT

singularity="$(command -v apptainer || command -v singularity)" || {
    echo "The job's container cannot run: ${SLURMD_NODENAME:-this node} has neither apptainer nor singularity in its PATH." >&2
    exit 1
}
prefix=SINGULARITY
[ "${singularity##*/}" != apptainer ] || prefix=APPTAINER
talk=(--verbose)
machine="$(uname -m)" wanted=arm64
case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
if [ "$machine" != "$wanted" ]; then
    echo "The job is for $wanted, and ${SLURMD_NODENAME:-this node} is $machine." >&2
    exit 1
fi
tmpdir=/local/tmp
export "${prefix}_TMPDIR=$tmpdir"

# The image, from a cache that all nodes see. The name of a cached file has the digest, so it never changes.
reference=registry.example.com/group/app:1.2
give_up() {
    echo "The image $reference $1" >&2
    exit 1
}
use_proxies() {
    :
    export http_proxy=http://proxy:3128 HTTP_PROXY=http://proxy:3128
    export https_proxy=http://proxy:3129 HTTPS_PROXY=http://proxy:3129
    export no_proxy=localhost,registry.site.example NO_PROXY=localhost,registry.site.example
}

# The login for the registry, if there is one. It is in no variable that is exported.
username='' password=''
if [ -e "$control/secrets" ]; then
    login="$({ head --bytes=-1 | LC_ALL=C sed --file="$control/secrets"; } <<'END_OF_LOGIN'
<SECRET1>
<SECRET2-1>

END_OF_LOGIN
    )"
    username="${login%%$'\n'*}" password="${login#*$'\n'}"
fi

# Where images are kept, the first that has one or takes one. A folder of somebody else's could hold anything.
caches=()
[ ! -d /scratch/all/.jarvice/images ] || caches+=(/scratch/all/.jarvice/images)
private="${control%/control/*}/images.$USER"
(umask 077 && mkdir -p "$private")
[[ -d "$private" && -O "$private" ]] || give_up "cannot be kept: $private is not this user's."
caches+=("$private")

# The digest that the tag has now. What is secret reaches curl on its standard input only.
ask_registry() { # ask_registry CONFIGURATION OPTIONS...
    curl --config - --silent --show-error --location --proto =https --suppress-connect-headers \
        --max-time 60 "${@:2}" <<<"$1" 2>&1
}
quoted() {
    local text="${1//\\/\\\\}"
    echo "\"${text//\"/\\\"}\""
}
header() { # header NAME HEADERS
    sed --quiet "s/^$1: *//Ip" <<<"$2" | tail --lines=1 | tr --delete '\r'
}
ask_digest() {
    local types=application/vnd.oci.image reply status challenge login='' token answer digest
    local manifest=(
        --head --write-out '%{http_code}'
        https://registry.example.com/v2/group/app/manifests/1.2
        --header "Accept: $types.index.v1+json, $types.manifest.v1+json"
        --header "Accept: application/vnd.docker.distribution.manifest.list.v2+json"
        --header "Accept: application/vnd.docker.distribution.manifest.v2+json"
    )
    use_proxies
    command -v curl >/dev/null || give_up "cannot be looked up: ${SLURMD_NODENAME:-this node} has no curl."
    reply="$(ask_registry '' "${manifest[@]}")"
    status="${reply##*$'\n'}"
    if [ "$status" = 401 ]; then
        challenge="$(header www-authenticate "$reply")"
        [ -z "$username" ] || login="user = $(quoted "$username:$password")"
        if [[ $challenge =~ ^[Bb]earer\ .*realm=\"(https://[^\"]+)\" ]]; then
            token=("${BASH_REMATCH[1]}")
            [[ ! $challenge =~ service=\"([^\"]*)\" ]] || token+=(--data-urlencode "service=${BASH_REMATCH[1]}")
            [[ ! $challenge =~ scope=\"([^\"]*)\" ]] || token+=(--data-urlencode "scope=${BASH_REMATCH[1]}")
            answer="$(ask_registry "$login" --get "${token[@]}")"
            login=''
            [[ ! $answer =~ \"(access_)?token\"\ *:\ *\"([^\"]+)\" ]] ||
                login="header = $(quoted "Authorization: Bearer ${BASH_REMATCH[2]}")"
        fi
        [ -z "$login" ] || reply="$(ask_registry "$login" "${manifest[@]}")"
        status="${reply##*$'\n'}"
    fi
    digest="$(header docker-content-digest "$reply")"
    case $status in
        200) [[ $digest =~ ^[a-z0-9]+:[0-9a-f]{32,128}$ ]] || give_up "has no digest: its registry does not tell one." ;;
        401 | 403) unauthorised ;;
        404) give_up "was not found in its registry." ;;
        000) give_up "cannot be looked up: $(head --lines=1 <<<"$reply")" ;;
        *) give_up "cannot be looked up: its registry answers with status $status." ;;
    esac
    echo "$digest"
}
unauthorised() {
    if [ -n "$username" ]; then
        give_up "cannot be pulled: unauthorised, its registry refuses the login."
    else
        give_up "cannot be pulled: unauthorised; its login was for the job's first start. Submit it under a new name."
    fi
}

# Holds the lock, which the kernel takes back from whoever is killed: what is partial now is dead.
pull() {
    local said
    rm -f "$cache/$kept"@*.partial
    leftovers+=("$image.partial")
    echo "pulling $reference ($digest)"
    if said="$(
        use_proxies
        # In the environment of this one command; a prefix of its name may not be known before.
        [ -z "$username" ] || export "${prefix}_DOCKER_USERNAME=$username" "${prefix}_DOCKER_PASSWORD=$password"
        exec "$singularity" "${talk[@]}" pull --force --disable-cache "$image.partial" \
            docker://registry.example.com/group/app@"$digest" 2>&1
    )"; then
        echo "$said"
        [ "$cache" = "$private" ] || chmod a+r "$image.partial"
        mv "$image.partial" "$image" && unset "leftovers[-1]"
        return
    fi
    rm -f "$image.partial"
    echo "$said" >&2
    case ${said,,} in
        *"no space left"* | *"disk quota exceeded"*)
            give_up "cannot be pulled: no space left in $cache, or in $tmpdir on ${SLURMD_NODENAME:-this node}." ;;
        *"permission denied"* | *"executable file not found"*) give_up "cannot be pulled: see above." ;;
        *unauthorized* | *"authentication required"* | *denied*) unauthorised ;;
        *"manifest unknown"* | *"not found"*) give_up "was not found in its registry." ;;
        *) give_up "cannot be pulled: see above." ;;
    esac
}
find_image() { # sets $cache and $image if there is one, and leaves them else
    local each name
    name="$kept@$digest.$(uname -m).sif"
    for each in "${caches[@]}"; do
        [ -r "$each/$name" ] || continue
        cache="$each" image="$each/$name"
        return
    done
    return 1
}
hold_lock() { # of $cache
    # Everybody may take the lock of a cache that is shared; where NFS has it, only who may write the file.
    (umask 0 && : >>"$cache/$kept.lock") 2>/dev/null
    { exec {lock}<>"$cache/$kept.lock" || exec {lock}<"$cache/$kept.lock"; } 2>/dev/null || return
    flock --nonblock "$lock" && return
    echo "waiting for another job that pulls into $cache"
    flock "$lock"
}

kept=registry.example.com+group+app
image=''
# A job that Slurm has started again goes on with the image that it had.
[ ! -r "$control/image" ] || IFS= read -r image <"$control/image"
if [ ! -r "$image" ]; then
    digest='' found=''
    note="$kept:"1.2
    for cache in "$private" "${caches[@]}"; do
        [ ! -r "$cache/$note" ] || read -r digest <"$cache/$note"
        [ -z "$digest" ] || ! find_image || found=yes
        [ -z "$found" ] || break
    done
    if [ -z "$found" ]; then
        digest="$(ask_digest)" || exit 1
        if ! find_image; then
            for cache in "${caches[@]}" ''; do
                [ -n "$cache" ] || give_up "cannot be pulled: $private cannot be locked."
                [ ! -w "$cache" ] || ! hold_lock || break
            done
            image="$cache/$kept@$digest.$(uname -m).sif"
            find_image || pull || exit 1
            exec {lock}>&-
        fi
        # What `pull: missing` goes by: beside the image, or in the user's own cache if that cannot be written.
        rm -f "$private/$note"
        for folder in "$cache" "$private"; do
            new="$folder/$note.$SLURM_JOB_ID"
            if { echo "$digest" >"$new" && mv -f "$new" "$folder/$note"; } 2>/dev/null; then break; fi
            rm -f "$new"
        done
    fi
    echo "$image" >"$control/image"
fi
rm -f "$control/secrets"
unset username password login

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
#!/bin/bash
echo "$@" END_OF_SCRIPT

END_OF_SCRIPT
chmod 700 "$control/command"

for try in 1 2; do
    srun --kill-on-bad-exit=1 --wait=0 --nodes=2 --ntasks=8 --ntasks-per-node=4 \
        --cpus-per-task=2 --mpi=pmi2 bash "$control/task.sh" "$control"
    srun_code=$?
    if [ "$srun_code" = 0 ] || [ "$try" = 2 ] || [ -n "$(cd "$control" && ls -d begun exit failed output 2>/dev/null)" ]; then break; fi
    # No task has begun: srun gives up at once where slurmctld is away. Once it answers there is another try.
    for _ in {1..120}; do
        ! squeue --noheader --jobs="$SLURM_JOB_ID" >/dev/null 2>&1 || break
        sleep 5
    done
done

leftovers+=("$control/job.sh")
# The first rank that failed decides, whenever that was; of one that was killed with its task only srun knows.
read -r _ code started _ 2>/dev/null <"$control/exit"
if [ "${code:-0}" = 0 ]; then
    read -r code 2>/dev/null <"$control/failed" || code="$srun_code"
    [ -n "$started" ] || [ "$code" != 0 ] || code=1
    echo "$SLURM_JOB_ID $code ${started:-$(($(date +%s) - SECONDS))} $(date +%s)" >"$control/exit.new" &&
        mv "$control/exit.new" "$control/exit"
fi
exit "$code"
