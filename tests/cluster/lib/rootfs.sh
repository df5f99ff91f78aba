# shellcheck shell=bash
# The root file system: Debian packages, the users, the CA. No configuration (see configure.sh).

PACKAGES=(
  slurm-wlm slurmctld slurmd slurm-client slurmdbd slurmrestd slurm-wlm-jwt-plugin slurm-wlm-mysql-plugin
  mariadb-server mariadb-client munge openssh-server openssh-client openssl ca-certificates
  docker-registry apache2-utils busybox-static e2fsprogs
  curl jq python3 iproute2 iputils-ping procps psmisc tini acl
)
# For images with overlays apptainer needs fuse2fs, fuse-overlayfs and mkfs.ext3 (e2fsprogs above); squashfuse saves
# it from unpacking SIFs.
APPTAINER_PACKAGES=(apptainer fuse3 fuse2fs fuse-overlayfs squashfuse squashfs-tools uidmap)

build() {
  local packages sources mirror name stale=() jobs=()
  require_host
  choose_packages
  if [ "$(cat "$ROOTFS/.cluster-recipe" 2>/dev/null)" != "$(rootfs_recipe)" ]; then
    is_up head && fail 1 "the recipe of the root file system changed: stop the cluster before the build"
    stale+=(rootfs)
  fi
  if [ -n "$MPI_TYPE" ] && [ "$(cat "$MPI_IMAGE.recipe" 2>/dev/null)" != "$(mpi_image_recipe)" ]; then
    stale+=(mpi_image)
  fi
  if [ ${#stale[@]} -gt 0 ]; then
    mkdir -p "$CLUSTER_BASE/$VARIANT"
    mirror=$(debian_mirror)
    for name in "${stale[@]}"; do "make_$name" "$mirror" & jobs+=($!); done
    wait_all "${jobs[@]}"
  fi
  make_keys
  trust_ca
}

bootstrap() { # bootstrap LOG ARGUMENTS...
  # Check-Valid-Until: a mirror's copy of sid may be older than its own expiry date.
  mmdebstrap --aptopt='Acquire::Check-Valid-Until "false"' "${@:2}" </dev/null >"$1" 2>&1 \
    || { tail -n 20 "$1" >&2; fail 1 "mmdebstrap failed, see $1"; }
}

rootfs_recipe() { { echo "${packages[*]}"; declare -f add_users; } | sha256sum; }

# Fills packages and sources (the lines for apt without the mirror).
choose_packages() {
  packages=("${PACKAGES[@]}")
  sources=("$VARIANT main")
  case $VARIANT in
    sid) packages+=("${APPTAINER_PACKAGES[@]}") ;;
    trixie) # apptainer is only in sid; with a low pin nothing but apptainer itself comes from there
      packages+=("${APPTAINER_PACKAGES[@]}")
      sources+=("sid main")
      ;;
    bookworm) ;; # apptainer of sid needs a newer libc
  esac
}

make_rootfs() { # make_rootfs MIRROR
  local build_log=$CLUSTER_BASE/$VARIANT/build.log
  log "building $ROOTFS (log: $build_log)"
  rm -rf --one-file-system "$ROOTFS" "$ROOTFS.partial"
  # shellcheck disable=SC2016 # the hook's $1 is mmdebstrap's to expand
  bootstrap "$build_log" --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
    --setup-hook='[ '"$VARIANT"' = sid ] || printf "Package: *\nPin: release n=sid\nPin-Priority: 100\n" >"$1/etc/apt/preferences.d/sid"' \
    "$VARIANT" "$ROOTFS.partial" "${sources[@]/#/deb $1 }"
  add_users "$ROOTFS.partial"
  rootfs_recipe >"$ROOTFS.partial/.cluster-recipe"
  mv "$ROOTFS.partial" "$ROOTFS"
}

add_users() { # add_users ROOT
  local name id
  for name in "${!USER_ID[@]}"; do
    id=${USER_ID[$name]}
    chroot "$1" groupadd --gid "$id" "$name"
    # '*' and not '!': without PAM sshd takes an account with '!' for a locked one and refuses its keys.
    chroot "$1" useradd --uid "$id" --gid "$id" --no-create-home --shell /bin/bash --password '*' "$name"
    # ranges for apptainer's user namespaces; useradd may or may not have made some
    sed -i "/^$name:/d" "$1/etc/subuid" "$1/etc/subgid"
    echo "$name:$((id * 100000)):65536" | tee -a "$1/etc/subuid" >>"$1/etc/subgid"
  done
  # slurmrestd refuses to run as root or as SlurmUser.
  chroot "$1" getent passwd slurmrestd >/dev/null \
    || chroot "$1" useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin slurmrestd
}

trust_ca() {
  local trusted=$ROOTFS/usr/local/share/ca-certificates/test-cluster.crt
  cmp -s "$KEYS/ca.crt" "$trusted" && return
  install -m 644 "$KEYS/ca.crt" "$trusted"
  chroot "$ROOTFS" update-ca-certificates >/dev/null 2>&1
}
