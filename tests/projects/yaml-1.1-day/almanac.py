import flask
import numpy
import pandas
import werkzeug

print(f"flask {flask.__version__}, werkzeug {werkzeug.__version__}, pandas {pandas.__version__}, numpy {numpy.__version__}")
