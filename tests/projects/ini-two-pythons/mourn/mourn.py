import os

print(os.environ["EXCEPTION_MESSAGE"])
