#!/bin/bash
# wait-for-nodes.sh COUNT: resumes nodes that an earlier run left drained or down, and waits until COUNT can take jobs
set -euo pipefail
# "plnd" and a trailing "-" mark a node that waits for a larger job; a trailing "*" one that does not answer.
usable() { sinfo --noheader --Node --partition normal --format '%N %t' | grep -cE ' (idle|mix|alloc|comp|plnd)-?$' || true; }
deadline=$((SECONDS + 60))
while [ "$(usable)" -lt "$1" ]; do
  [ "$SECONDS" -lt "$deadline" ] || { sinfo --list-reasons >&2; sinfo --Node --long >&2; exit 1; }
  sinfo --noheader --Node --format '%N %t' | awk '$2 ~ /drain|drng|inval|down/ {print $1}' | sort -u | while read -r node; do
    scontrol update "nodename=$node" state=resume 2>/dev/null </dev/null || true
  done
  sleep 0.1
done
