# shellcheck shell=bash
# Configuration, written anew by every start from the templates in etc/. Only ever called while the nodes are
# down: changing the lower layer under a mounted overlay is undefined.

configure() {
  local name id
  write_base_files
  write_slurm_files
  write_ssh_files
  write_registry_files
  install -m 644 "$ETC/mariadb.cnf" "$ROOTFS/etc/mysql/mariadb.conf.d/99-cluster.cnf"
  install -d -m 755 "$STATE" "$STATE"/{home,mysql,slurmctld,registry,log}
  install -d -m 1777 "$STATE/shared"
  for name in "${!USER_ID[@]}"; do
    id=${USER_ID[$name]}
    install -d -m 700 -o "$id" -g "$id" "$STATE/home/$name" "$STATE/home/$name/.ssh"
    [ -e "$STATE/home/$name/.ssh/authorized_keys" ] \
      || install -m 600 -o "$id" -g "$id" "$KEYS/$name.pub" "$STATE/home/$name/.ssh/authorized_keys"
  done
}

# System users have different ids in different releases: owner NAME FILE...
owner() {
  local ids
  ids=$(awk -F: -v name="$1" '$1 == name {print $3 ":" $4}' "$ROOTFS/etc/passwd")
  chown "$ids" "${@:2}"
}

write_base_files() {
  local name
  {
    echo "127.0.0.1 localhost"
    for name in head "${NODES[@]}"; do echo "${ADDRESS[$name]} $name"; done
  } >"$ROOTFS/etc/hosts"
  : >"$ROOTFS/etc/resolv.conf" # there is no DNS in there; a resolver that does not answer would make look-ups hang
  install -d -m 755 "$ROOTFS/shared" "$ROOTFS/opt/cluster"
  install -d -m 700 "$ROOTFS/etc/munge"
  install -m 400 "$KEYS/munge.key" "$ROOTFS/etc/munge/munge.key"
  owner munge "$ROOTFS/etc/munge" "$ROOTFS/etc/munge/munge.key"
}

# /etc/slurm is one folder for all nodes, so that a test which edits it there edits it everywhere.
write_slurm_files() {
  local folder=$STATE/etc-slurm min_job_age=${JARVICE_TEST_MIN_JOB_AGE:-300}
  [[ $min_job_age =~ ^[0-9]+$ ]] || fail 2 "JARVICE_TEST_MIN_JOB_AGE must be a number of seconds"
  install -d -m 755 "$STATE" "$folder"
  sed "s/@MIN_JOB_AGE@/$min_job_age/" "$ETC/slurm.conf" >"$folder/slurm.conf"
  install -m 644 "$ETC/gres.conf" "$folder/gres.conf"
  install -m 644 "$ETC/cgroup.conf" "$folder/cgroup.conf"
  # 22.05 does not know "disabled", and its autodetection ends slurmd where no cgroups are mounted. No plugin in
  # slurm.conf asks for them, so naming a version is enough.
  [ "$VARIANT" != bookworm ] || echo 'CgroupPlugin=cgroup/v1' >"$folder/cgroup.conf"
  install -m 600 "$ETC/slurmdbd.conf" "$folder/slurmdbd.conf"
  install -m 600 "$KEYS/jwt_hs256.key" "$folder/jwt_hs256.key"
  owner slurm "$folder/slurmdbd.conf" "$folder/jwt_hs256.key"
}

write_ssh_files() {
  install -d -m 755 "$ROOTFS/etc/ssh/sshd_config.d"
  install -m 644 "$ETC/sshd.conf" "$ROOTFS/etc/ssh/sshd_config.d/cluster.conf"
  # OpenSSH 9.8 and newer shut out an address that often fails; all of the tests come from one address.
  if [ "$VARIANT" != bookworm ]; then
    echo "PerSourcePenalties no" >>"$ROOTFS/etc/ssh/sshd_config.d/cluster.conf"
  fi
  # Its Match block ends with the file: hence one of its own.
  install -m 644 "$ETC/sshd-certificates.conf" "$ROOTFS/etc/ssh/sshd_config.d/user-certificates.conf"
  install -m 644 "$KEYS/user_ca.pub" "$ROOTFS/etc/ssh/"
  rm -f "$ROOTFS"/etc/ssh/ssh_host_*
  install -m 600 "$KEYS/ssh_host_ed25519_key" "$ROOTFS/etc/ssh/"
  install -m 644 "$KEYS/ssh_host_ed25519_key.pub" "$ROOTFS/etc/ssh/"
}

write_registry_files() {
  local folder=$ROOTFS/etc/docker/registry
  install -d -m 755 "$folder"
  [ -s "$KEYS/registry.htpasswd" ] \
    || (umask 077; chroot "$ROOTFS" htpasswd -Bin reguser <"$KEYS/registry_password" >"$KEYS/registry.htpasswd")
  install -m 600 "$KEYS/registry.htpasswd" "$folder/htpasswd"
  install -m 600 "$KEYS/registry.key" "$folder/registry.key"
  install -m 644 "$KEYS/registry.crt" "$folder/registry.crt"
  install -m 644 "$ETC/registry-plain.yml" "$ETC/registry-tls.yml" "$folder/"
}
