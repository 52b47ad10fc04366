"""What is known of old pins: which versions break with which later ones, and when versions were released. Data only.

Each case was tried: installed with the newest dependencies its import fails (or its first use, where that is said), and
with those of the given day it works.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Break:
    """Versions from `since` to below `below` do not work with `dependency` from `bound` on, released after `last`."""

    package: str
    since: str
    below: str
    dependency: str
    bound: str
    last: str  # the last day on which the newest dependency worked
    why: str
    python: str = "3.8"  # the oldest on which `bound` can be installed


_REMOVED = "it removed what {} imports"
_BINARY = "its binary interface is another one"
_NUMPY = ("numpy", "2", "2024-06-15", "3.9")  # https://numpy.org/doc/stable/release/2.0.0-notes.html
_NUMPY_NAMES = ("numpy", "1.24", "2022-12-17")
_PROTOBUF, _GENERATED = ("protobuf", "4", "2022-05-25"), "it refuses the files in {}"
BREAKS = tuple(
    Break(*package, *dependency[:3], why.format(package[0]), *dependency[3:])
    for package, dependency, why in (
        # https://itsdangerous.palletsprojects.com/en/2.1.x/changes/#version-2-1-0 (json), released 2022-02-18
        (("flask", "1.0", "1.1.3"), ("itsdangerous", "2.1", "2022-02-17"), _REMOVED),
        # https://jinja.palletsprojects.com/en/3.1.x/changes/#version-3-1-0 (Markup, escape), released 2022-03-24
        (("flask", "1.0", "1.1.3"), ("jinja2", "3.1", "2022-03-23"), _REMOVED),
        # https://werkzeug.palletsprojects.com/en/2.1.x/changes/#version-2-1-0 (BaseResponse), released 2022-03-28
        (("flask", "1.0", "1.1.3"), ("werkzeug", "2.1", "2022-03-27"), _REMOVED),
        # https://markupsafe.palletsprojects.com/en/2.1.x/changes/#version-2-1-0 (soft_unicode), released 2022-02-18
        (("jinja2", "2.10", "3.0"), ("markupsafe", "2.1", "2022-02-17"), _REMOVED),
        (("flask", "1.1.3", "2.0"), ("markupsafe", "2.1", "2022-02-17"), "it removed what its Jinja2 imports"),
        # https://werkzeug.palletsprojects.com/en/3.0.x/changes/#version-3-0-0 (url_quote), released 2023-09-30
        (("flask", "2.0", "2.2.4"), ("werkzeug", "3", "2023-09-29"), _REMOVED),
        # https://docs.sqlalchemy.org/en/20/changelog/changelog_20.html, released 2023-01-26; fails at its first use
        (("flask-sqlalchemy", "2.5", "3.0"), ("sqlalchemy", "2", "2023-01-25"), "it removed what {} uses"),
        (("pandas", "1.2", "2.1.2"), _NUMPY, _BINARY),
        (("scikit-learn", "0.24", "1.3.1"), _NUMPY, _BINARY),
        # https://numpy.org/doc/stable/release/1.24.0-notes.html (object, int, float), released 2022-12-18
        (("pandas", "1.0", "1.1"), _NUMPY_NAMES, "it removed names that {} uses"),
        (("scikit-learn", "0.22", "0.24"), _NUMPY_NAMES, "it removed names that {} uses"),
        # https://flask.palletsprojects.com/en/2.3.x/changes/#version-2-3-0 (json.JSONEncoder, _request_ctx_stack)
        (("connexion", "2.14", "2.14.2"), ("flask", "2.3", "2023-04-24"), _REMOVED),
        (("flask-login", "0.5", "0.6.1"), ("flask", "2.3", "2023-04-24"), _REMOVED),
        (("flask-login", "0.5", "0.6"), ("werkzeug", "2.1", "2022-03-27"), _REMOVED),
        (("flask-login", "0.6.2", "0.6.3"), ("werkzeug", "3", "2023-09-29"), _REMOVED),
        # https://werkzeug.palletsprojects.com/en/2.2.x/changes/#version-2-2-0 (routing.parse_rule), released 2022-07-23
        (("flask-restx", "0.5", "1.0"), ("werkzeug", "2.2", "2022-07-22"), _REMOVED),
        # https://flask.palletsprojects.com/en/3.0.x/changes/#version-3-0-0 (scaffold), released 2023-09-30
        (("flask-restx", "1.1", "1.2"), ("flask", "3", "2023-09-29"), _REMOVED),
        # https://protobuf.dev/news/2022-05-06/#python-updates: 4.21, released 2022-05-26 (what protoc made before)
        (("mlflow", "1.12", "1.26.1"), _PROTOBUF, _GENERATED),
        (("onnx", "1.9", "1.12"), _PROTOBUF, _GENERATED),
        (("streamlit", "0.84", "1.9.1"), _PROTOBUF, _GENERATED),
        # https://altair-viz.github.io/releases/changes.html: 5.0 (altair.vegalite.v4), released 2023-05-09
        (("streamlit", "0.84", "1.11"), ("altair", "5", "2023-05-08"), _REMOVED),
        (("dash", "2.0", "2.3.1"), ("werkzeug", "2.1", "2022-03-27"), _REMOVED),
        # https://docs.scipy.org/doc/scipy/release/1.13.0-notes.html (linalg.triu), released 2024-04-02
        (("gensim", "4.3", "4.3.3"), ("scipy", "1.13", "2024-04-01", "3.9"), _REMOVED),
        # https://github.com/tensorflow/tensorflow/issues/56077: protobuf 4.21 (the files that protoc made before)
        (("tensorflow", "2.5", "2.6.5"), ("protobuf", "3.20", "2022-05-26"), "it refuses the files in {}"),
        (("tensorflow", "2.7", "2.7.3"), ("protobuf", "3.20", "2022-05-26"), "it refuses the files in {}"),
        (("tensorflow", "2.8", "2.8.2"), ("protobuf", "3.20", "2022-05-26"), "it refuses the files in {}"),
        (("tensorflow", "2.9.0", "2.9.1"), ("protobuf", "3.20", "2022-05-26"), "it refuses the files in {}"),
    )
)
# What a stage's own script may use, and the first version of a package without it.
USES: tuple[tuple[re.Pattern[bytes], Break], ...] = tuple(
    (re.compile(pattern), Break(name, "", "", *without, "it is not there any more"))
    for name, pattern, without in (
        ("before_first_request", rb"\.before_first_request\b", ("flask", "2.3", "2023-04-24")),
        ("flask.json.JSONEncoder", rb"\bflask\.json\b.{0,100}\bJSONEncoder\b", ("flask", "2.3", "2023-04-24")),
        ("numpy.object, .int, .float", rb"\b(?:np|numpy)\.(?:object|int|float|complex)\b(?![.\w])", _NUMPY_NAMES),
        (
            "jinja2.escape, .Markup",
            rb"\bfrom jinja2 import .{0,100}\b(?:escape|Markup)\b",
            ("jinja2", "3.1", "2022-03-23"),
        ),
        ("url_quote", rb"\bfrom werkzeug\.urls import .{0,100}\burl_quote\b", ("werkzeug", "3", "2023-09-29")),
    )
)
# Packages that import distutils, which Python 3.12 no longer has: name, first version without it.
WITHOUT_DISTUTILS = "3.12"
DISTUTILS: Mapping[str, str] = {"seaborn": "0.12"}
# First versions after the days above, in each series that had earlier ones, and first ones of later series: the days of
# upload on PyPI. A version is there from the day of the greatest one that is not above it.
RELEASED: Mapping[str, Mapping[str, str]] = {
    "flask": {
        "2.1": "2022-03-28", "2.1.3": "2022-07-13", "2.2": "2022-08-02", "2.2.3": "2023-02-15", "2.3": "2023-04-25",
        "3.0": "2023-09-30", "3.0.3": "2024-04-07", "3.1": "2024-11-13",
    },
    "werkzeug": {
        "2.1": "2022-03-28", "2.2": "2022-07-23", "2.2.3": "2023-02-14", "2.3": "2023-04-25", "2.3.8": "2023-11-08",
        "3.0": "2023-09-30", "3.0.3": "2024-05-05", "3.0.4": "2024-08-21",
    },
    "jinja2": {
        "3.1": "2022-03-24", "3.1.2": "2022-04-28", "3.1.3": "2024-01-10", "3.1.4": "2024-05-05", "3.1.5": "2024-12-21",
    },
    "pandas": {
        "1.4.2": "2022-04-02", "1.4.3": "2022-06-23", "1.5": "2022-09-19", "2.0": "2023-04-03", "2.1": "2023-08-30",
        "2.1.2": "2023-10-26", "2.2": "2024-01-20", "2.2.2": "2024-04-10", "2.2.3": "2024-09-20",
    },
    "scikit-learn": {
        "1.1": "2022-05-12", "1.1.2": "2022-08-05", "1.2": "2022-12-08", "1.2.2": "2023-03-09", "1.3": "2023-06-30",
        "1.3.2": "2023-10-23", "1.4": "2024-01-18", "1.4.2": "2024-04-09", "1.5": "2024-05-21", "1.5.1": "2024-07-03",
    },
    "numpy": {
        "1.21.6": "2022-04-12", "1.22": "2021-12-31", "1.22.3": "2022-03-07", "1.22.4": "2022-05-20",
        "1.23": "2022-06-22", "1.24": "2022-12-18", "1.24.2": "2023-02-05", "1.25": "2023-06-17",
        "1.26": "2023-09-16", "1.26.1": "2023-10-14", "2.0": "2024-06-16",
    },
    "scipy": {
        "1.8.1": "2022-05-18", "1.9": "2022-07-29", "1.10": "2023-01-03", "1.10.1": "2023-02-19", "1.11": "2023-06-25",
        "1.11.4": "2023-11-18", "1.12": "2024-01-20", "1.13": "2024-04-02", "1.14": "2024-06-24",
    },
    "itsdangerous": {"2.1": "2022-02-18", "2.2": "2024-04-16"},
    "markupsafe": {"2.1": "2022-02-18", "3.0": "2024-10-07"},
    "click": {"8.1": "2022-03-28", "8.1.3": "2022-04-28"},
    "sqlalchemy": {"1.4.32": "2022-03-06", "1.4.46": "2023-01-03", "2.0": "2023-01-26"},
    "protobuf": {"3.20.2": "2022-09-13", "4.21": "2022-05-26", "5.26": "2024-03-13"},
    "flask-login": {"0.6": "2022-03-30", "0.6.3": "2023-10-30"},
    "flask-restx": {"1.0.1": "2022-11-01", "1.2": "2023-10-22"},
    "mlflow": {"1.24": "2022-02-28", "1.26.1": "2022-05-28", "1.27": "2022-06-29", "2.0.1": "2022-11-15"},
    "streamlit": {"1.6": "2022-02-24", "1.9.2": "2022-05-27", "1.10": "2022-06-02", "1.20": "2023-03-09"},
    "onnx": {"1.12": "2022-06-18"},
    "urllib3": {
        "1.26.9": "2022-03-16", "1.26.15": "2023-03-11", "2.0.2": "2023-05-03", "2.1": "2023-11-13",
        "2.2": "2024-01-30",
    },
    "boto3": {
        "1.24": "2022-05-31", "1.26": "2022-11-01", "1.28": "2023-07-06", "1.34": "2023-12-13",
    },
    "joblib": {"1.2": "2022-09-16", "1.3.1": "2023-06-29", "1.4": "2024-04-08"},
    "matplotlib": {"3.5.2": "2022-05-03", "3.6": "2022-09-16", "3.7": "2023-02-13", "3.8": "2023-09-15"},
    "seaborn": {"0.12": "2022-09-06", "0.13": "2023-09-29"},
    "xgboost": {"1.6": "2022-04-16", "1.7": "2022-10-31", "2.0": "2023-09-12"},
    "fastapi": {
        "0.75": "2022-03-04", "0.78": "2022-05-14", "0.85": "2022-09-15", "0.95": "2023-03-18", "0.100": "2023-07-07",
        "0.110": "2024-02-24",
    },
    "uvicorn": {
        "0.18.1": "2022-06-23", "0.20": "2022-11-20", "0.22": "2023-04-28", "0.23": "2023-07-15", "0.29": "2024-03-20",
    },
    "pydantic": {"1.9.1": "2022-05-19", "1.10": "2022-08-30", "2.0": "2023-06-30", "2.5": "2023-11-13"},
    "gunicorn": {"21.0.1": "2023-07-17", "22.0": "2024-04-16"},
    "statsmodels": {"0.13.5": "2022-11-02", "0.14": "2023-05-05"},
    "flask-sqlalchemy": {"3.0": "2022-10-04", "3.0.3": "2023-01-31", "3.1": "2023-09-11"},
    "requests": {
        "2.28": "2022-06-09", "2.28.2": "2023-01-12", "2.29": "2023-04-26", "2.31": "2023-05-22", "2.32": "2024-05-20",
    },
    "gensim": {"4.2": "2022-05-01", "4.3": "2022-12-21", "4.3.1": "2023-03-10", "4.3.3": "2024-07-19"},
    "tensorflow": {
        "2.6.4": "2022-05-16", "2.7": "2021-11-04", "2.7.2": "2022-05-16", "2.7.4": "2022-09-02", "2.8": "2022-02-02",
        "2.8.1": "2022-05-16", "2.8.3": "2022-09-02", "2.9": "2022-05-16", "2.9.2": "2022-09-03", "2.10": "2022-09-06",
        "2.11": "2022-11-18", "2.12": "2023-03-22", "2.13": "2023-07-05", "2.14": "2023-09-26", "2.14.1": "2023-11-14",
        "2.16": "2024-03-09", "2.16.2": "2024-06-28",
    },
}  # fmt: skip
