import sys

import markupsafe
import numpy as np

version = ".".join(map(str, sys.version_info[:2]))
print(f"kept on Python {version}: numpy {np.__version__}, markupsafe {markupsafe.__version__}")
