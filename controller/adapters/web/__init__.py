"""The HTTP port: signs of life for a kubelet and a scraper, what runs left behind, and the page. Only read.

On another port calls wake the controller. Commands use what is here, too: a module loads only what it needs.
"""
