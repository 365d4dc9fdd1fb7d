"""A local HTTP server of files, for tests of downloads."""

import hashlib
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Serve one file at every address, or a dict of files by path, with ranges.

    The connection breaks after ``broken_after`` bytes.
    """

    def __init__(self, server_state, *args):
        self.state = server_state
        super().__init__(*args)

    def do_HEAD(self):
        self._start()

    def do_GET(self):
        first = self._start()
        if first is None:
            return
        body = self._content()[first:]
        limit = self.state.pop('broken_after', None)
        self.wfile.write(body[:limit])
        if limit is not None:
            self.connection.close()

    def _content(self):
        content = self.state['content']
        return content[self.path] if isinstance(content, dict) else content

    def _start(self):
        if isinstance(self.state['content'], dict) and self.path not in self.state['content']:
            self.send_error(404)
            return None
        content, first = self._content(), 0
        self.state['requests'].append((self.command, self.path, self.headers.get('Range')))
        wanted = self.headers.get('Range', '')
        if wanted.startswith('bytes='):
            first = int(wanted[6:].split('-')[0])
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {first}-{len(content) - 1}/{len(content)}')
        else:
            self.send_response(200)
        self.send_header('Content-Length', str(len(content) - first))
        self.send_header('Content-Type', 'application/octet-stream')
        self.send_header('ETag', f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header('X-Repo-Commit', 'a' * 40)
        self.end_headers()
        return first

    def log_message(self, *args):
        pass


@contextmanager
def serve_files():
    """Yield the address and the state of a server: its content and the requests that it got."""
    state = dict(content=b'', requests=[])
    httpd = ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, state))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{httpd.server_port}', state
    finally:
        httpd.shutdown()
        httpd.server_close()
