"""SSH with kept connections, kept remote shells, and channels to hosts behind the far side."""

from pipeline.transport.ssh.connection import Host, Login, check_keys
from pipeline.transport.ssh.pool import SshTransport
from pipeline.transport.ssh.tunnel import Tunnel

__all__ = ["Host", "Login", "SshTransport", "Tunnel", "check_keys"]
