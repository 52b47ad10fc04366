from http.server import HTTPServer, SimpleHTTPRequestHandler

print("shown in", open("/tmp/coachwork-masonry.txt").read())
HTTPServer(("127.0.0.1", 5873), SimpleHTTPRequestHandler).serve_forever()
