import csv
import os

with open("../data/berths.csv") as file:
    rows = list(csv.DictReader(file))
with open("longest.txt", "w") as file:
    file.write(max(row["metres"] for row in rows))
print(f"{len(rows)} berths, token: {os.environ.get('HARBOUR_TOKEN')}")
