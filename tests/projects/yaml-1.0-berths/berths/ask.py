from urllib.request import urlopen

print("a ship of 100 m goes", urlopen("http://scoring-service:5872/100").read().decode())
