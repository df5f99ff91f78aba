# shellcheck shell=bash
# Tokens of an identity provider, which Slurm takes beside those that `cluster token` makes.

jwks() { # jwks FILE|off: a file that Slurm does not take leaves the cluster without one
  local file=$STATE/etc-slurm/jwks.json
  is_up head || fail 1 "$VARIANT is not running"
  if [ "$1" != off ]; then
    install -m 644 "$1" "$file" || fail 2 "$1 can not be read"
    verify_tokens_with ",jwks=/etc/slurm/jwks.json,userclaimfield=preferred_username" && return
    log "Slurm does not take $1"
  fi
  verify_tokens_with ""
  rm -f "$file"
  [ "$1" = off ]
}

verify_tokens_with() { # verify_tokens_with PARAMETERS: what AuthAltParameters has after jwt_key
  sed --in-place "s|^\(AuthAltParameters=[^,]*\).*|\1$1|" "$STATE"/etc-slurm/{slurm,slurmdbd}.conf
  # slurmctld comes last and with nothing left to tell slurmdbd: 24.11 can crash when it starts with such a rest.
  # slurmrestd passes tokens on unread.
  in_node head /opt/cluster/daemon.sh slurmdbd restart \
    && wait_for_accounting \
    && in_node head /opt/cluster/daemon.sh slurmctld restart \
    && in_node head /opt/cluster/wait-for-nodes.sh ${#NODES[@]}
}

wait_for_accounting() { # until slurmdbd has been told all
  local deadline=$((SECONDS + 60))
  until in_node head sdiag | grep -q '^DBD Agent queue size: *0$'; do
    [ "$SECONDS" -lt "$deadline" ] || { log "slurmctld still has messages for slurmdbd"; return 1; }
    sleep 0.2
  done
}
