"""A small real SMTP server: takes mail, checks a login, speaks STARTTLS, can refuse at any step."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from email.message import EmailMessage
from types import TracebackType
from typing import Self

from tests.services.process import LOOPBACK, free_port


class SmtpServer:
    """Answers as told: ``replies`` maps a command (``MAIL``, ``RCPT``, ``DATA``, ``.``) to what it says."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> None:
        self.port = free_port()
        self.tls = tls
        self.login = login
        self.replies: dict[str, str] = {}
        self.mails: list[EmailMessage] = []
        self.encrypted: list[bool] = []
        self._server: socketserver.ThreadingTCPServer | None = None

    def start(self) -> Self:
        owner = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _Talk(owner, self).run()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server((LOOPBACK, self.port), Session)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Talk:
    """One session."""

    def __init__(self, owner: SmtpServer, session: socketserver.StreamRequestHandler) -> None:
        self.owner = owner
        self.socket = session.connection
        self.reader = session.rfile
        self.encrypted = False
        self.known = owner.login is None

    def say(self, line: str) -> None:
        self.socket.sendall(f"{line}\r\n".encode())

    def run(self) -> None:
        try:
            self.say("220 test ready")
            while line := self.reader.readline().decode("ascii", "replace").strip():
                verb = line.split(" ", 1)[0].upper()
                if verb == "QUIT":
                    self.say(self.owner.replies.get("QUIT", "221 bye"))
                    return
                self.answer(verb, line)
        except OSError:
            return  # whoever talked has gone
        finally:
            self.socket.close()

    def answer(self, verb: str, line: str) -> None:
        if verb in self.owner.replies:
            self.say(self.owner.replies[verb])
        elif verb == "EHLO":
            offers = ["250-test"]
            if self.owner.tls is not None and not self.encrypted:
                offers.append("250-STARTTLS")
            if self.owner.login is not None:
                offers.append("250-AUTH PLAIN")
            for offer in offers:
                self.say(offer)
            self.say("250 8BITMIME")
        elif verb == "STARTTLS" and self.owner.tls is not None:
            self.say("220 go")
            self.socket = self.owner.tls.wrap_socket(self.socket, server_side=True)
            self.reader = self.socket.makefile("rb")
            self.encrypted = True
        elif verb == "AUTH":
            _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
            self.known = (user, password) == self.owner.login
            self.say("235 welcome" if self.known else "535 wrong name or password")
        elif verb == "DATA":
            self.say("354 go on")
            self.take()
        elif verb in ("MAIL", "RCPT", "RSET", "NOOP") and self.known:
            self.say("250 fine")
        else:
            self.say("530 log in first")

    def take(self) -> None:
        content = b""
        while (line := self.reader.readline()) not in (b".\r\n", b""):
            content += line.removeprefix(b".")
        reply = self.owner.replies.get(".", "250 taken")
        if reply.startswith("250"):
            self.owner.mails.append(email.message_from_bytes(content, policy=email.policy.default))
            self.owner.encrypted.append(self.encrypted)
        self.say(reply)
