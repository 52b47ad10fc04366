import sys

import pandas as pd

kind, count = sys.argv[1], int(sys.argv[2])
frame = pd.DataFrame({"kind": [kind] * count}).append(pd.DataFrame({"kind": ["pears"]}))
print(f"pandas {pd.__version__}: {len(frame)} fruits")
