#!/bin/bash
# Runs once in each fresh node, before its daemons.
set -euo pipefail
install -d -m 755 /run/cluster /run/sshd
install -d -m 755 -o slurm -g slurm /run/slurm
install -d -m 755 -o munge -g munge /run/munge
install -d -m 700 -o munge -g munge /var/log/munge /var/lib/munge
install -d -m 755 -o mysql -g mysql /run/mysqld
ln -sfn mysqld /run/mariadbd # sid's MariaDB moved its socket there; slurmdbd and the clients agree on the old place
chown slurm:slurm /var/log/slurm
if [ "$(hostname)" = head ]; then
  chown slurm:slurm /var/spool/slurmctld
  chown mysql:mysql /var/lib/mysql
fi
