import os
from http.server import HTTPServer, SimpleHTTPRequestHandler

HTTPServer(("0.0.0.0", int(os.environ.get("PORT", 5000))), SimpleHTTPRequestHandler).serve_forever()
