import sys

import numpy
import sklearn
from sklearn.linear_model import LinearRegression

model = LinearRegression().fit([[1.0], [2.0], [3.0]], [2.0, 4.0, 6.0])
python = ".".join(map(str, sys.version_info[:2]))
print(f"scikit-learn {sklearn.__version__} on numpy {numpy.__version__}, Python {python}: {model.predict([[5.0]])[0]:.0f} ships")
