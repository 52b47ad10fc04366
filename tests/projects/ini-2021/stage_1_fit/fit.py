import numpy as np
import pandas as pd

hours = pd.Series(np.arange(0, 48, 6.0))
levels = 2 + np.sin(hours * np.pi / 6.2)
phase, mean = np.polyfit(hours, levels, 1)
print(f"numpy {np.__version__}, pandas {pd.__version__}: mean level {mean:.1f} m")
