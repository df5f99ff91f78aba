# shellcheck shell=bash
# Every secret of the cluster, made once by the build; all files 0600 but for public halves.

make_keys() {
  local name host_key
  install -d -m 700 "$KEYS"
  for name in "${!USER_ID[@]}"; do
    [ -e "$KEYS/$name" ] || ssh-keygen -q -t ed25519 -N '' -C "$name@test-cluster" -f "$KEYS/$name"
  done
  [ -e "$KEYS/ssh_host_ed25519_key" ] || ssh-keygen -q -t ed25519 -N '' -C head -f "$KEYS/ssh_host_ed25519_key"
  [ -e "$KEYS/user_ca" ] || ssh-keygen -q -t ed25519 -N '' -C user-ca -f "$KEYS/user_ca"
  make_secret munge.key 128
  make_secret jwt_hs256.key 32
  [ -s "$KEYS/registry_password" ] || (umask 077; openssl rand -hex 16 >"$KEYS/registry_password")
  [ -e "$KEYS/registry.crt" ] || make_certificates
  host_key=$(cut -d ' ' -f 1,2 "$KEYS/ssh_host_ed25519_key.pub")
  printf '%s\n' "[127.0.0.1]:$SSH_PORT $host_key" "[localhost]:$SSH_PORT $host_key" "head,${ADDRESS[head]} $host_key" >"$KEYS/known_hosts"
  chmod 600 "$KEYS"/*
  chmod 644 "$KEYS"/*.pub "$KEYS"/*.crt "$KEYS/known_hosts"
}

make_secret() { # make_secret FILE BYTES
  [ -s "$KEYS/$1" ] || (umask 077; head -c "$2" /dev/urandom >"$KEYS/$1")
}

# A CA of our own, and the registry's certificate from it.
make_certificates() (
  cd "$KEYS" || exit
  umask 077
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=test cluster CA' -keyout ca.key -out ca.crt 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=head -keyout registry.key -out registry.csr 2>/dev/null
  openssl x509 -req -in registry.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out registry.crt \
    -extfile <(echo "subjectAltName=DNS:head,DNS:localhost,IP:${ADDRESS[head]},IP:127.0.0.1") 2>/dev/null
  rm -f registry.csr
)
