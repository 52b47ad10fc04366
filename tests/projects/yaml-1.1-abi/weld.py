import os

import pandas as pd

print(pd.Series([1, 2]).sum())
