# shellcheck shell=bash
# Nodes: each has its own network, mount, uts, ipc and pid namespace. Killing a node's pid 1 takes all of it down.

# A process is known by its pid and its start time, so that a stale file never points at a stranger.
start_time() { # start_time PID: field 22 of stat; the command in field 2 may hold blanks
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  awk '{print $20}' <<<"${stat##*) }"
}
remember_process() { echo "$2 $(start_time "$2")" >"$RUN/$1.process"; } # remember_process NAME PID
known_process() {                                                       # known_process NAME: its pid if it still runs
  local pid started
  read -r pid started 2>/dev/null <"$RUN/$1.process" || return 1
  [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}
is_up() { known_process "$1" >/dev/null; }

in_node() { # in_node NODE COMMAND...: as root, with a clean environment
  local pid
  pid=$(known_process "$1") || fail 1 "$VARIANT/$1 is not running"
  nsenter --target "$pid" --mount --uts --ipc --net --pid -- env -i \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" "${@:2}"
}

# The head holds a bridge, every node has a cable to it. No way out to the host's networks.
make_networks() {
  local node head_net node_net
  head_net=$(network_namespace head)
  delete_networks
  ip netns add "$head_net"
  ip -netns "$head_net" link set lo up
  ip -netns "$head_net" link add bridge0 type bridge
  ip -netns "$head_net" address add "${ADDRESS[head]}/24" dev bridge0
  ip -netns "$head_net" link set bridge0 up
  for node in "${NODES[@]}"; do
    node_net=$(network_namespace "$node")
    ip netns add "$node_net"
    ip -netns "$node_net" link set lo up
    ip -netns "$head_net" link add "to-$node" type veth peer name eth0 netns "$node_net"
    ip -netns "$head_net" link set "to-$node" master bridge0 up
    ip -netns "$node_net" address add "${ADDRESS[$node]}/24" dev eth0
    ip -netns "$node_net" link set eth0 up
  done
}

delete_networks() {
  local node
  for node in "${NODES[@]}" head; do
    ip netns delete "$(network_namespace "$node")" 2>/dev/null || true
  done
}

boot_nodes() {
  local node pid
  # A copy, as a running cluster outlives the checkout that started it.
  rm -rf "${RUN:?}/in-node"
  cp -R "$LIB/in-node" "$RUN/in-node"
  for node in head "${NODES[@]}"; do
    rm -rf --one-file-system "${RUN:?}/$node"
    mkdir -p "$RUN/$node" "$STATE/log/$node"
    rm -f "$RUN/$node.process"
    setsid --fork nsenter --net="/run/netns/$(network_namespace "$node")" \
      unshare --mount --uts --ipc --pid --fork --propagation private \
      "$LIB/node-init.sh" "$node" "$ROOTFS" "$STATE" "$RUN/$node" "$RUN/in-node" </dev/null >"$RUN/$node.log" 2>&1
  done
  for node in head "${NODES[@]}"; do
    for _ in {1..200}; do
      [ -s "$RUN/$node/pid" ] && break
      sleep 0.05
    done
    pid=$(cat "$RUN/$node/pid" 2>/dev/null) || { cat "$RUN/$node.log" >&2; fail 1 "$node did not boot"; }
    remember_process "$node" "$pid"
  done
}

end_process() { # end_process NAME SIGNAL: returns when the process is gone
  local pid
  pid=$(known_process "$1") || { rm -f "$RUN/$1.process"; return 0; }
  kill "-$2" "$pid" 2>/dev/null || true
  for _ in {1..200}; do
    known_process "$1" >/dev/null || break
    sleep 0.05
  done
  rm -f "$RUN/$1.process"
}

start_forwarder() {
  local pid
  setsid --fork python3 "$LIB/forward.py" "$RUN/forwarder.pid" "/run/netns/$(network_namespace head)" \
    "$SSH_PORT=${ADDRESS[head]}:22" "$REST_PORT=${ADDRESS[head]}:6820" "$REGISTRY_PORT=${ADDRESS[head]}:5000" \
    </dev/null >"$RUN/forwarder.log" 2>&1
  for _ in {1..100}; do
    pid=$(cat "$RUN/forwarder.pid" 2>/dev/null) && [ -n "$pid" ] && break
    sleep 0.05
  done
  [ -n "${pid:-}" ] || { tail -n 3 "$RUN/forwarder.log" >&2; fail 1 "the ports $SSH_PORT $REST_PORT $REGISTRY_PORT could not be opened"; }
  remember_process forwarder "$pid"
}
