#!/bin/bash
# Starts, stops and signals one daemon of the node it runs in.
#   daemon.sh NAME start|stop|kill|freeze|thaw|restart
#   daemon.sh all status
# Each daemon runs in the foreground under a pid file of ours, so its pid is known whatever it does itself.
set -euo pipefail
PIDS=/run/cluster
LOGS=/var/log/slurm
GRACE=20 # seconds a daemon has to end by itself

processes_of() { # the names of the processes (and pid files) that make up a daemon
  if [ "$1" = registry ]; then echo registry-plain registry-tls; else echo "$1"; fi
}

output_of() { # output_of PROCESS: where it writes; both of the registry into one file, in the order of their requests
  case $1 in registry-*) echo "$LOGS/registry.out" ;; *) echo "$LOGS/$1.out" ;; esac
}

is_process() { # is_process PROCESS PID: by the name that the kernel has, which Debian changes at times
  local name
  name=$(cat "/proc/$2/comm" 2>/dev/null) || return 1
  case $1 in registry-*) [ "$name" = docker-registry ] ;; *) [ "$name" = "$1" ] || [ "$name" = "$1-wlm" ] ;; esac
}

pid_of() { # pid_of PROCESS: if it runs
  local pid
  read -r pid 2>/dev/null <"$PIDS/$1.pid" || return 1
  is_process "$1" "$pid" && echo "$pid"
}
runs() { pid_of "$1" >/dev/null; }

pids_of() { # pids_of NAME
  local process
  for process in $(processes_of "$1"); do pid_of "$process" || true; done
}

# sshd's children that serve a connection each are not known by pid file, but this pid namespace holds no others.
with_sessions() { # with_sessions NAME
  pids_of "$1"
  if [ "$1" = sshd ]; then pgrep -x 'sshd|sshd-session|sshd-auth' || true; fi
}

launch() { # launch PROCESS COMMAND...
  # shellcheck disable=SC2016
  setsid --fork bash -c 'echo $$ >"$1"; shift; exec "$@"' launch "$PIDS/$1.pid" "${@:2}" </dev/null >>"$(output_of "$1")" 2>&1
}

wait_until() { # wait_until SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  until "${@:2}" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

answers() { # answers PROCESS SECONDS COMMAND...: waits for a daemon just launched, as long as it lives
  # shellcheck disable=SC2317
  dead_or_answering() { "${@:2}" || { [ "$SECONDS" -gt "$launched" ] && ! runs "$1"; }; }
  local launched=$((SECONDS + 1)) # setsid and bash need a moment to become the daemon
  if ! wait_until "$2" dead_or_answering "$1" "${@:3}" || ! runs "$1"; then
    echo "$(hostname): $1 does not answer; the end of its output:" >&2
    tail -n 5 "$(output_of "$1")" >&2
    return 1
  fi
}
# shellcheck disable=SC2317 # called through wait_until
port_open() { (: <"/dev/tcp/$(hostname)/$1"); }
# shellcheck disable=SC2317
controller_answers() { timeout 5 scontrol ping | grep -q UP; }

start() {
  [ -z "$(pids_of "$1")" ] || return 0
  case $1 in
    munged)
      rm -f /run/munge/munge.socket.2 # a killed one leaves it behind
      launch munged setpriv --reuid munge --regid munge --init-groups -- munged --foreground --force
      answers munged 10 munge --no-input
      ;;
    mariadbd)
      [ -d /var/lib/mysql/mysql ] || mariadb-install-db --user=mysql --skip-test-db >"$LOGS/mariadb-install.out" 2>&1
      launch mariadbd mariadbd --user=mysql
      answers mariadbd 60 mariadb-admin ping
      # slurmdbd runs as the Unix user slurm, which is all the proof the socket needs: no password anywhere
      mariadb --execute="CREATE DATABASE IF NOT EXISTS slurm_acct_db;
        CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED VIA unix_socket;
        GRANT ALL ON slurm_acct_db.* TO slurm@localhost" </dev/null
      ;;
    slurmdbd)
      launch slurmdbd setpriv --reuid slurm --regid slurm --init-groups -- slurmdbd -D
      answers slurmdbd 60 port_open 6819
      ;;
    slurmctld)
      launch slurmctld setpriv --reuid slurm --regid slurm --init-groups -- slurmctld -D
      answers slurmctld 60 controller_answers
      ;;
    slurmrestd)
      # One malloc arena: with one per thread it grows by over a gigabyte for every long list of jobs.
      launch slurmrestd env SLURM_JWT=daemon MALLOC_ARENA_MAX=1 \
        setpriv --reuid slurmrestd --regid slurmrestd --clear-groups -- slurmrestd -a rest_auth/jwt 0.0.0.0:6820
      answers slurmrestd 30 port_open 6820
      ;;
    slurmd)
      launch slurmd slurmd -D
      answers slurmd 30 port_open 6818
      ;;
    sshd)
      launch sshd /usr/sbin/sshd -D -e # it insists on an absolute path, and on syslog unless -e is there
      answers sshd 10 port_open 22
      ;;
    registry)
      launch registry-plain docker-registry serve /etc/docker/registry/registry-plain.yml
      launch registry-tls docker-registry serve /etc/docker/registry/registry-tls.yml
      answers registry-plain 20 port_open 5000
      answers registry-tls 20 port_open 5443
      ;;
  esac
}

send() { # send SIGNAL PIDS...
  [ $# -lt 2 ] || kill "-$1" "${@:2}" 2>/dev/null || true
}

# shellcheck disable=SC2317 # called through wait_until
none_left() { # none_left PIDS...
  local pid
  for pid in "$@"; do [ ! -e "/proc/$pid" ] || return 1; done
}

end() { # end SIGNAL PIDS...: returns when they are gone
  [ $# -ge 2 ] || return 0
  send "$@"
  send CONT "${@:2}" # a frozen process would keep the signal for later
  wait_until "$GRACE" none_left "${@:2}" || { send KILL "${@:2}" && wait_until "$GRACE" none_left "${@:2}"; }
}

status() {
  local file
  for file in "$PIDS"/*.pid; do
    [ -e "$file" ] || continue
    file=$(basename "$file" .pid)
    case $file in registry-tls) continue ;; registry-plain) file=registry ;; esac
    echo "$file=$(pids_of "$file" | paste -sd ,)"
  done
}

name=$1 action=$2
case $action in
  start) start "$name" ;;
  stop) mapfile -t pids < <(pids_of "$name") && end TERM "${pids[@]}" ;;
  kill) mapfile -t pids < <(with_sessions "$name" | sort -u) && end KILL "${pids[@]}" ;;
  freeze) mapfile -t pids < <(with_sessions "$name" | sort -u) && send STOP "${pids[@]}" ;;
  thaw) mapfile -t pids < <(with_sessions "$name" | sort -u) && send CONT "${pids[@]}" ;;
  restart) "$0" "$name" stop && start "$name" ;;
  status) status ;;
esac
