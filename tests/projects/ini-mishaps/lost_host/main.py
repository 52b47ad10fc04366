from urllib.request import urlopen

print(urlopen("http://bodywork-mishaps--tide-api.ml:5000/").status)
