"""A cloud that remembers what was made in it: the far side of the resources of a campaign."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.required import required


class Cloud:
    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self._server = _Listener(self)
        self._url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def module(self, resources: int, seconds: float) -> str:
        """Resources made one after the other, each in so many seconds, for each value of `name`."""
        ask = f"{required('curl')} -fsS -X POST {self._url}"
        return 'variable "name" {}\n' + "".join(
            f"""
resource "terraform_data" "r{number}" {{
  {f"depends_on = [terraform_data.r{number - 1}]" if number else ""}

  provisioner "local-exec" {{
    command = "{ask}/${{var.name}}/r{number}; sleep {seconds}"
  }}
}}
"""
            for number in range(resources)
        )

    def made_by(self, name: str) -> Counter[str]:
        """The resources that exist, for this value of `name`; how often each was made."""
        begin = f"/{name}/"
        found = {path: times for path, times in self.made.items() if path.startswith(begin)}
        return Counter({path.removeprefix(begin): times for path, times in found.items()})

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cloud = cloud


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_POST(self) -> None:
        self.server.cloud.made[self.path] += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
