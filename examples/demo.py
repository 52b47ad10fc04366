"""`make demo`: runs train-and-serve on this machine to the end, asks the service for a prediction, stops everything."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
LIMIT = 60  # seconds for an answer, and for the end


def main() -> int:
    command = [sys.executable, "-m", "controller", "run", str(HERE / "train-and-serve"), "--output", "json"]
    print("$ coachwork run examples/train-and-serve", flush=True)
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    address = ""
    try:
        address = follow(run)
        if address:
            ask(address)
    finally:
        run.send_signal(signal.SIGINT)
        code = run.wait(LIMIT)
    print("everything is stopped")
    return code if address else code or 1


def follow(run: subprocess.Popen) -> str:
    """Print what changes until the service is up; give its address, "" if the run failed."""
    seen = {}
    for line in run.stdout:
        scene = json.loads(line)
        for name, stage in sorted(scene["stages"].items(), key=since):
            if seen.get(name) != stage["state"] != "Waiting":
                seen[name] = stage["state"]
                step = f"step {stage['step']}  " if stage["step"] else ""
                print(f"{step}{name}: {stage['state']} {stage['message']}".rstrip(), flush=True)
        if scene["over"]:
            print(f"{scene['phase']}: {scene['message']}", flush=True)
            return scene["services"].get("serve", "")
    return ""


def since(item: tuple[str, dict]) -> str:
    """Return since when a stage is in its state: what came first is printed first."""
    _, stage = item
    return stage["finished"] or stage["started"]


def ask(address: str) -> None:
    """Ask for a prediction, as any program would."""
    url = f"{address}/predict"
    body = json.dumps(FLOWER).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        print(f"POST {url} {body.decode()}\n{answer.status} {answer.read().decode().strip()}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
