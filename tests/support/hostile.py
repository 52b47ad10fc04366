"""A project whose stages write what hostile ones would, with everything that a page has to show."""

from tests.support.world import project

CANARY = "canary-4711/hush+"
MARKUP = "<img src=x onerror=alert(1)>"
NAMES = (f"{MARKUP}.txt", "100% #1?&.txt", "a b/c;d/e.txt", "plots/curve.svg", "\u202etxt.exe")

_LOAD = f"""
import json, os, pathlib, struct, zlib
folder = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
number = int(os.environ["NUMBER"])
print("{MARKUP} <script>alert(2)</script> </pre></main>")
print("\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07 bell \\x07 \\u202eback\\u202c")
print("1 of 3\\r2 of 3\\r3 of 3")
print("the secret is", os.environ["CANARY"])
for name in {NAMES!r}:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("this is <b>" + name)
(folder / os.fsdecode(b"\\xff.txt")).write_text("not UTF-8")
(folder / "plots" / "curve.svg").write_text(
    '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="60"><script>alert(3)</script>'
    '<rect width="120" height="60" fill="teal"/><image href="http://elsewhere.invalid/a.png"/></svg>')
(folder / "report.html").write_text(
    '<h1>Report</h1><p id="p">as written</p><script>document.getElementById("p").textContent = "ran"</script>'
    '<img src="http://elsewhere.invalid/b.png"><form action="/"><button>send</button></form>')

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

rows = b"".join(b"\\0" + bytes(min(255, x * y // 60) for x in range(160) for _ in "rgb") for y in range(90))
(folder / "plots" / "heat.png").write_bytes(
    b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 160, 90, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
(folder / "table.csv").write_text("species,petal\\n" + "".join(f"iris-{{at}},{{at / 10}}\\n" for at in range(600)))
(folder / "scores.json").write_text(json.dumps({{"classes": ["<b>a</b>"]}}))
(folder / "model.bin").write_bytes(bytes(1000))
"""
_TRAIN = """
import json, os, sys
print("attempt", os.environ["COACHWORK_ATTEMPT"])
if os.environ["COACHWORK_ATTEMPT"] == "1":
    sys.exit("not at first")
with open(os.environ["COACHWORK_METRICS"], "w") as file:
    json.dump({"accuracy": 0.9 + int(os.environ["NUMBER"]) / 100}, file)
for at in range(3000):
    print("epoch", at)
"""
_REPORT = f"""
import os
if os.environ["NUMBER"] == "2":
    raise ValueError("{MARKUP} \\u202e is wrong with " + os.environ["CANARY"])
"""
PROJECT = project(
    "load >> train, tidy >> report", retries=1, secrets={"load": "CANARY = a", "report": "CANARY = a"}
) | {
    "load/run.py": _LOAD,
    "train/run.py": _TRAIN,
    "report/run.py": _REPORT,
}
