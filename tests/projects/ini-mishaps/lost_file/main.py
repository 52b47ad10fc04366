levels = [float(line) for line in open("levels.csv")]
print(max(levels))
