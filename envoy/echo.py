#!/usr/bin/env python3
"""The website of the demo: answers every request with what it got.

    python3 envoy/echo.py [PORT]        listens on 127.0.0.1, port 8080 if none is named

A browser gets a page: who is logged in, what came, a link that logs out. All others get JSON. `make run` and
docker-compose.yaml both run this file; it needs nothing but Python 3.9 or newer.

Tokens are never shown whole: who looks over your shoulder, or at a screenshot, must not be able to use one.
"""

import base64
import hashlib
import html
import json
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

# Characters of a token that are shown; all JWTs of one key begin alike.
SHOWN = 12
JWT = re.compile(r"(?<![\w-])ey[\w-]{8,}(\.[\w-]*){2,4}", re.ASCII)

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 3rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p { margin: .3rem 0 1rem } a { color: #0b57d0 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ddd }
th { font-weight: 600; white-space: nowrap; width: 18rem } td { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def cut(text):
    """The text with each JWT in it cut short."""
    return JWT.sub(lambda found: found[0][:SHOWN] + "...", text)


def cut_header(name, value):
    if name not in ("authorization", "proxy-authorization"):
        return cut(value)
    scheme, _, credential = value.partition(" ")
    shown = credential[:SHOWN] if scheme.lower() == "bearer" and len(credential) > 2 * SHOWN else ""
    return f"{cut(scheme)} {shown}..."


def claims(authorization):
    """The claims of a bearer token that is a JWT, unchecked: that is the gateway's work."""
    scheme, _, token = authorization.partition(" ")
    parts = token.split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        # Once more without half characters (\ud800), which are no text, and without tokens in the token.
        found = json.loads(cut(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace").decode()))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def table(rows):
    line = "<tr><th>{}</th><td>{}</td></tr>"
    return "<table>" + "\n".join(line.format(*map(html.escape, row)) for row in rows) + "</table>"


def page(seen):
    headers = seen["headers"]
    user, email = headers.get("x-user"), headers.get("x-email")
    if user is None:
        who = "<h1>Nobody is logged in</h1><p>The request named no user.</p>"
    else:
        title = f"<h1>Logged in as <span id=user>{html.escape(user)}</span></h1>"
        address = f"<span id=email>{html.escape(email)}</span> · " if email else ""
        who = f'{title}<p>{address}<a id=logout href="/logout">Log out</a></p>'
    request = table([("method", seen["method"]), ("url", seen["url"])])
    token = ""
    if seen["claims"]:
        rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in seen["claims"].items()]
        token = f"<h2>What the access token says</h2>{table(rows)}"
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>oidc-filter demo</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
{who}
<h2>What the website got from the gateway</h2>
{request}
<h2>Its headers</h2>
{table(headers.items())}
{token}
</html>
"""


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __getattr__(self, name):
        # Whatever the method, the answer is the same.
        if name.startswith("do_"):
            return self.echo
        raise AttributeError(name)

    def text(self, raw):
        """Headers and targets are bytes that the server read as Latin-1; what is meant is UTF-8."""
        return raw.encode("latin-1", "replace").decode("utf-8", "replace")

    def skip_body(self):
        """Reads the body away, so that the next request on the connection begins where it does."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            while size := int(self.rfile.readline(1024).split(b";")[0], 16):
                self.skip(size + 2)
            while self.rfile.readline(65536).strip():
                pass
        else:
            self.skip(int(self.headers.get("content-length", 0)))

    def skip(self, size):
        while size > 0 and (piece := self.rfile.read(min(size, 65536))):
            size -= len(piece)

    def echo(self):
        try:
            self.skip_body()
        except ValueError:
            self.close_connection = True
        headers, authorization = {}, ""
        for name, value in self.headers.items():
            name, value = name.lower(), self.text(value)
            if name == "authorization":
                authorization = value
            value = cut_header(name, value)
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        target = self.text(self.path)
        query = parse_qsl(urlsplit(target).query, keep_blank_values=True)
        seen = {
            "method": self.command,
            "url": cut(target),
            "args": {cut(name): cut(value) for name, value in query},
            "headers": dict(sorted(headers.items())),
            "claims": claims(authorization),
        }
        if "text/html" in headers.get("accept", "").lower():
            self.answer("text/html; charset=utf-8", page(seen))
        else:
            self.answer("application/json", json.dumps(seen, indent=2) + "\n")

    def answer(self, content_type, text):
        body = text.encode("utf-8", "replace")
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        # What one visitor sees is for nobody else.
        self.send_header("Cache-Control", "no-store")
        self.send_header("Vary", "Accept")
        self.send_header("X-Content-Type-Options", "nosniff")
        policy = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; img-src data:; frame-ancestors 'none'"
        self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing: a URL may hold a token."""


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    # As the first process of a container it would not hear SIGTERM otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer.daemon_threads = True
    with ThreadingHTTPServer(("127.0.0.1", port), Echo) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
