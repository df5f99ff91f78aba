# shellcheck shell=bash
# start, stop, status, clean, info

start() {
  local name missing=()
  for name in head "${NODES[@]}" forwarder; do is_up "$name" || missing+=("$name"); done
  if [ ${#missing[@]} = 0 ]; then
    log "is up already"
    return
  fi
  is_up head && log "is only half up (missing: ${missing[*]}): starting anew" && stop
  shut_down # what a crash may have left
  build
  mkdir -p "$RUN"
  configure
  # A start that fails leaves nothing half up.
  trap 'shut_down; log "start failed; logs are in $STATE/log and $RUN"' EXIT
  make_networks
  boot_nodes
  start_daemons
  start_forwarder
  trap - EXIT
  log "up: ssh on port $SSH_PORT, slurmrestd on $REST_PORT, registry on $REGISTRY_PORT of 127.0.0.1"
}

start_daemons() {
  local node name jobs=()
  for node in head "${NODES[@]}"; do in_node "$node" /opt/cluster/prepare.sh; done
  # What does not depend on the database starts beside it.
  for name in sshd registry; do in_node head /opt/cluster/daemon.sh "$name" start & jobs+=($!); done
  for node in "${NODES[@]}"; do in_node "$node" /opt/cluster/daemon.sh munged start & jobs+=($!); done
  for name in munged mariadbd slurmdbd; do in_node head /opt/cluster/daemon.sh "$name" start; done
  in_node head /opt/cluster/accounts.sh
  in_node head /opt/cluster/daemon.sh slurmctld start
  wait_all "${jobs[@]}"
  jobs=()
  in_node head /opt/cluster/daemon.sh slurmrestd start & jobs+=($!)
  for node in "${NODES[@]}"; do in_node "$node" /opt/cluster/daemon.sh slurmd start & jobs+=($!); done
  push_images >/dev/null & jobs+=($!)
  wait_all "${jobs[@]}"
  in_node head /opt/cluster/wait-for-nodes.sh ${#NODES[@]}
}

wait_all() { # wait_all PIDS...: leaves none behind, and fails when one of them fails
  local pid code=0
  for pid in "$@"; do wait "$pid" || code=$?; done
  return "$code"
}

stop() {
  local name
  if is_up head; then
    # In this order, so that each still finds the one that it saves its state to.
    for name in slurmrestd slurmctld slurmdbd mariadbd; do
      in_node head /opt/cluster/daemon.sh "$name" stop || true
    done
  fi
  shut_down
  log "is down"
}

shut_down() {
  local node
  end_process forwarder TERM
  for node in "${NODES[@]}" head; do
    end_process "$node" KILL # pid 1 of its namespace: the kernel ends the rest with it
  done
  rm -f "$RUN/forwarder.pid"
  delete_networks
}

status() {
  local node down=0
  require_root
  for node in head "${NODES[@]}"; do
    if is_up "$node"; then
      echo "$node up $(in_node "$node" /opt/cluster/daemon.sh all status | tr '\n' ' ')"
    else
      echo "$node down"
      down=1
    fi
  done
  [ "$down" = 0 ]
}

clean() { # clean [all]
  stop
  rm -rf --one-file-system "$STATE" "$RUN"
  [ "${1:-}" != all ] || rm -rf --one-file-system "${CLUSTER_BASE:?}/$VARIANT"
}

info() {
  local up=false password
  is_up head && up=true
  password=$(cat "$KEYS/registry_password" 2>/dev/null || true)
  cat <<JSON
{
  "variant": "$VARIANT",
  "up": $up,
  "ssh": {"host": "127.0.0.1", "port": $SSH_PORT, "inside_host": "head", "inside_port": 22},
  "slurmrestd": {"url": "http://127.0.0.1:$REST_PORT", "inside_url": "http://head:6820",
    "api_versions": [$(sed 's/[^ ]*/"&"/g; s/ /, /g' <<<"$API_VERSIONS")]},
  "registry": {"url": "http://127.0.0.1:$REGISTRY_PORT", "inside_url": "http://head:5000", "inside_tls_url": "https://head:5443",
    "user": "reguser", "password": "$password", "image": "nintendo/busybox:1", "ca": "$KEYS/ca.crt"},
  "mpi_type": "$MPI_TYPE",
  "users": ["jarvice", "kirby", "mario", "dovahkiin"],
  "keys": "$KEYS",
  "known_hosts": "$KEYS/known_hosts",
  "jwt_key": "$KEYS/jwt_hs256.key",
  "homes": "$STATE/home",
  "shared": "$STATE/shared",
  "logs": "$STATE/log",
  "slurm_conf": "$STATE/etc-slurm/slurm.conf"
}
JSON
}
