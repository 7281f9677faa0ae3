"""A wire that can be cut: forwards TCP connections to a server. Arguments: from port, to port."""

from __future__ import annotations

import socket
import sys
import threading


def pump(source: socket.socket, target: socket.socket) -> None:
    """Bytes one way, until either end closes."""
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass  # an end was closed: so is the other
    for end in (source, target):
        end.close()


def main() -> None:
    """Forward until killed."""
    here, there = map(int, sys.argv[1:])
    with socket.create_server(("127.0.0.1", here)) as listener:
        while True:
            asked, _ = listener.accept()
            answering = socket.create_connection(("127.0.0.1", there))
            for ends in ((asked, answering), (answering, asked)):
                threading.Thread(target=pump, args=ends, daemon=True).start()


if __name__ == "__main__":
    main()
