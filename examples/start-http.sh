#!/usr/bin/env bash
# Starts the downstream with slurmrestd: jobs are submitted with the users' own tokens, and managed over SSH.
# Replace every <...>. Keep keys and passwords in files that only this user can read: each VARIABLE
# can be given as VARIABLE_FILE, which names a file that holds the value.

export JARVICE_SCHED_LOGLEVEL="20"

# The upstream sends this login, <user>:<password>, by HTTP Basic
export JARVICE_SCHED_SERVER_KEY_FILE="<folder>/server_key"

# The identity provider, whose keys users' bearer tokens are verified with. Without them the service
# listens on loopback only, and believes what any token says.
#export JARVICE_DOWNSTREAM_BEARER_KEYS_URL="https://<provider>/realms/<realm>/protocol/openid-connect/certs"
#export JARVICE_DOWNSTREAM_BEARER_ISSUER="https://<provider>/realms/<realm>"
#export JARVICE_DOWNSTREAM_BEARER_AUDIENCE="<audience>"

# Registry of the init images
export JARVICE_SYSTEM_REGISTRY="us-docker.pkg.dev"
export JARVICE_SYSTEM_REPO_BASE="jarvice-system/images"
export JARVICE_IMAGES_TAG="jarvice-master"

# Its login, both base64; the vendor gives them to you
export JARVICE_DOCKER_USERNAME="<base64>"
export JARVICE_DOCKER_PASSWORD_FILE="<folder>/docker_password"

# slurmrestd, by the name that the SSH entry point knows it under
export JARVICE_BAREMETAL_CONNECTOR="slurm"
export JARVICE_SLURM_INTERFACE="http"
export JARVICE_SLURMRESTD_ADDR="http://<host>"
export JARVICE_SLURMRESTD_PORT="6820"
export JARVICE_SLURMRESTD_USER_CLAIM="preferred_username"

# Requests go through the Jarvice user's SSH connection, and jobs are managed over it
export JARVICE_SLURM_CLUSTER_ADDR="<address>"
export JARVICE_SLURM_CLUSTER_PORT="22"
export JARVICE_SLURM_SSH_USER="jarvice"
export JARVICE_SLURM_SSH_PKEY_FILE="<folder>/jarvice_id_ed25519"

# Without any SSH, in place of the four above (Slurm 24.05 or newer):
#export JARVICE_SLURMRESTD_ADDR="https://<host>"
#export JARVICE_SLURMRESTD_ROUTE="direct"
#export JARVICE_SLURMRESTD_CA_FILE="<folder>/ca.pem"
#export JARVICE_SLURM_USER_HOME="/home/%u"
#export JARVICE_SLURM_SERVICE_TOKEN_FILE="<folder>/service_token"

# Where the project is installed; `./run demo` makes .venv in a checkout.
export PATH="$PWD/.venv/bin:$PATH"

exec python3 main.py
