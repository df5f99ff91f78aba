"""SSH with kept connections, kept remote shells, and channels to hosts behind the far side."""

from pipeline.transport.ssh.certificates import Authority
from pipeline.transport.ssh.host import Host
from pipeline.transport.ssh.login import Login, check_keys
from pipeline.transport.ssh.pool import SshTransport
from pipeline.transport.ssh.tunnel import Tunnel

__all__ = ["Authority", "Host", "Login", "SshTransport", "Tunnel", "check_keys"]
