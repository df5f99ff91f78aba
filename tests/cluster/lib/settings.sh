# shellcheck shell=bash
# shellcheck disable=SC2034 # these names are used by the other files
# Names, addresses and paths.

CLUSTER_BASE=${JARVICE_TEST_CLUSTER_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/jarvice-downstream/cluster}

NODES=(n1 n2 n3)
# 198.51.100.0/24 is reserved for documentation: it can not hide anything real.
declare -A ADDRESS=([head]=198.51.100.1 [n1]=198.51.100.11 [n2]=198.51.100.12 [n3]=198.51.100.13)
declare -A USER_ID=([jarvice]=2001 [kirby]=2002 [mario]=2003 [dovahkiin]=2004)
HEAD_DAEMONS=(munged mariadbd slurmdbd slurmctld slurmrestd sshd registry)
NODE_DAEMONS=(munged slurmd)

# select_variant NAME: sets everything that differs between the Debian releases. MPI_TYPE: srun's --mpi for
# nintendo/mpi:1, the best that its Slurm has; bookworm has no apptainer.
select_variant() {
  VARIANT=$1
  case $VARIANT in
    trixie) SSH_PORT=22022 REST_PORT=26820 REGISTRY_PORT=25000 API_VERSIONS='v0.0.40 v0.0.41 v0.0.42' MPI_TYPE=pmix ;;
    sid) SSH_PORT=22122 REST_PORT=26920 REGISTRY_PORT=25100 API_VERSIONS='v0.0.42 v0.0.43 v0.0.44 v0.0.45' MPI_TYPE=pmi2 ;;
    bookworm) SSH_PORT=22222 REST_PORT=27020 REGISTRY_PORT=25200 API_VERSIONS='v0.0.36 v0.0.37 v0.0.38' MPI_TYPE= ;;
    *) return 1 ;;
  esac
  ROOTFS=$CLUSTER_BASE/$VARIANT/rootfs # packages only; read-only lower layer of every node
  MPI_IMAGE=$CLUSTER_BASE/$VARIANT/mpi-image.tar
  KEYS=$CLUSTER_BASE/$VARIANT/keys
  STATE=$CLUSTER_BASE/$VARIANT/state   # what outlives a stop: homes, database, Slurm's state, registry, logs
  RUN=$CLUSTER_BASE/$VARIANT/run       # what does not: pid files, mounts, each node's own layer
}

contains() { # contains WORD WORDS...
  local word
  for word in "${@:2}"; do
    [ "$word" = "$1" ] && return 0
  done
  return 1
}

is_node() { contains "$1" head "${NODES[@]}"; }
is_user() { contains "$1" "${!USER_ID[@]}"; }
is_daemon_of() { # is_daemon_of NODE NAME
  if [ "$1" = head ]; then contains "$2" "${HEAD_DAEMONS[@]}"; else contains "$2" "${NODE_DAEMONS[@]}"; fi
}
network_namespace() { echo "jd-$VARIANT-$1"; }

log() { echo "[$(date +%T)] cluster $VARIANT: $*" >&2; }
fail() { # fail EXIT_CODE MESSAGE
  echo "cluster: $2" >&2
  exit "$1"
}
