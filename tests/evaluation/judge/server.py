"""What a judge replies, and the server it replies from."""

from endpoint.server import ChatServer as JudgeServer
from endpoint.server import Reply

__all__ = ["NO", "YES", "JudgeServer", "Reply"]

YES = '{"pred": "yes", "score": 5}'
NO = '{"pred": "no", "score": 1}'
