import sys

import numpy as np

version = ".".join(map(str, sys.version_info[:2]))
print(f"renewed on Python {version}: numpy {np.__version__.split('.')[0]}")
