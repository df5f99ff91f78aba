#!/bin/bash
# Fills the accounting database of a new cluster. jarvice coordinates both accounts and has no admin level.
set -euo pipefail
until sacctmgr --noheader show cluster >/dev/null 2>&1; do
  [ "$SECONDS" -lt 30 ] || { echo "slurmdbd does not answer" >&2; exit 1; }
  sleep 0.1
done
! sacctmgr --noheader --parsable2 show account pc withcoordinator format=coordinators | grep -q jarvice || exit 0
{
  sacctmgr --immediate add cluster test
  sacctmgr --immediate add account nintendo,pc cluster=test description=test organization=test
  sacctmgr --immediate add user kirby,mario account=nintendo
  sacctmgr --immediate add user dovahkiin account=pc
  sacctmgr --immediate add user jarvice account=nintendo
  sacctmgr --immediate add user jarvice account=pc
  sacctmgr --immediate add coordinator account=nintendo,pc names=jarvice
} >/var/log/slurm/accounts.out 2>&1
