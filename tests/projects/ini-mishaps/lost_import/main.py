import json

import tide_tables

print(json.dumps(tide_tables.today()))
