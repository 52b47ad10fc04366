import requests

answer = requests.post("http://tides--stage-2-serve:5000/tide/v1", json={"hour": 5})
answer.raise_for_status()
print(f"at five the level is {answer.json()['level']} m")
