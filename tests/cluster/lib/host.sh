# shellcheck shell=bash
# What the host must have. Exit code 3: this machine can not run the cluster (tests may skip on it).

HOST_PACKAGES=(mmdebstrap iproute2 openssh-client openssl)
HOST_COMMANDS=(mmdebstrap ip ssh-keygen openssl)

require_root() {
  [ "$(id -u)" = 0 ] || fail 3 "must run as root: it makes namespaces, mounts and a root file system"
}

require_host() {
  local missing=() word
  require_root
  for word in apt-get dpkg unshare nsenter setsid flock; do
    command -v "$word" >/dev/null || fail 3 "$word is missing: this needs a Debian machine"
  done
  command -v python3 >/dev/null || fail 3 "python3 is missing"
  for word in "${HOST_COMMANDS[@]}"; do
    command -v "$word" >/dev/null || missing+=("$word")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    log "missing on this machine: ${missing[*]}; installing ${HOST_PACKAGES[*]}"
    apt-get update >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${HOST_PACKAGES[@]}" >&2 \
      || fail 3 "missing: ${missing[*]}; apt-get install ${HOST_PACKAGES[*]} failed"
  fi
  # A container without the rights for this is found here rather than half way through a start.
  unshare --mount --net --uts --ipc --pid --fork true 2>/dev/null \
    || fail 3 "this machine does not let root make namespaces (a container without privileges?)"
}

first_mirror() {
  # shellcheck disable=SC2016 # apt's own notation
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p
}

# The mirror this machine itself installs Debian from.
debian_mirror() {
  local mirror
  mirror=$(first_mirror)
  if [ -z "$mirror" ]; then # apt has no index yet
    apt-get update >&2 || true
    mirror=$(first_mirror)
  fi
  [ -n "$mirror" ] || fail 3 "no Debian mirror in the configuration of apt"
  echo "$mirror"
}
