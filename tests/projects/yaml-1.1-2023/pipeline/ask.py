import requests

answer = requests.post("http://orchard--orchard-api:8000/price", json={"apples": 4}).json()
print(f"four apples cost {answer['price']}, says pydantic {answer['pydantic']}")
