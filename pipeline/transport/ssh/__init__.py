"""SSH with kept connections and kept remote shells."""

from pipeline.transport.ssh.connection import Host, Login, check_keys
from pipeline.transport.ssh.pool import SshTransport

__all__ = ["Host", "Login", "SshTransport", "check_keys"]
