# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume driver for a Docker Engine, as small as can be: ``volume_driver.py SOCKET DIRECTORY``.

It runs as a plugin that the engine manages. Its volumes are directories too, but the engine does not know that. The
protocol is described in https://docs.docker.com/engine/extend/plugins_volume/.
"""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import sys

SOCKET, DIRECTORY = sys.argv[1:]


class Driver(http.server.BaseHTTPRequestHandler):
    """Answers the engine."""

    def address_string(self) -> str:
        """Return who asks; a socket of this kind has no address."""
        return "engine"

    def do_POST(self) -> None:
        """Answer one question."""
        length = int(self.headers.get("Content-Length") or 0)
        asked = json.loads(self.rfile.read(length) or b"{}")
        answer = json.dumps(self.answer(self.path, asked.get("Name", ""))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def answer(self, question: str, name: str) -> dict[str, object]:
        place = os.path.join(DIRECTORY, name)
        volume = {"Name": name, "Mountpoint": place}
        if question == "/Plugin.Activate":
            return {"Implements": ["VolumeDriver"]}
        if question == "/VolumeDriver.Create":
            os.makedirs(place, exist_ok=True)
        elif question == "/VolumeDriver.Get":
            return {"Volume": volume} if os.path.isdir(place) else {"Err": "no such volume"}
        elif question == "/VolumeDriver.List":
            return {"Volumes": [{"Name": entry} for entry in os.listdir(DIRECTORY)]}
        elif question in ("/VolumeDriver.Mount", "/VolumeDriver.Path"):
            return {"Mountpoint": place}
        elif question == "/VolumeDriver.Capabilities":
            return {"Capabilities": {"Scope": "local"}}
        return {"Err": ""}


with socketserver.ThreadingUnixStreamServer(SOCKET, Driver) as server:
    server.serve_forever()
