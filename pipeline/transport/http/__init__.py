"""HTTP with kept connections, straight or through a channel of an SSH connection."""

from pipeline.transport.http.client import AnswerLost, HttpRequest, HttpTransport

__all__ = ["AnswerLost", "HttpRequest", "HttpTransport"]
