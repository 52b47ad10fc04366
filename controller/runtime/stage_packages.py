"""Which package a module is of: one table for imports that fail and for requirements that name the module.

A name that is not here may be anybody's: nothing recommends it.
"""

from __future__ import annotations

import difflib
import importlib.util
import sysconfig
from typing import TYPE_CHECKING, Iterable

if TYPE_CHECKING:
    from controller.runtime.stage_text import canonical, pairs
else:  # published side by side
    from stage_text import canonical, pairs

OTHERWISE = pairs(
    """
    absl=absl-py attr=attrs azure.identity=azure-identity azure.storage.blob=azure-storage-blob Bio=biopython
    bs4=beautifulsoup4 Crypto=pycryptodome Cryptodome=pycryptodomex cv2=opencv-python-headless
    dateutil=python-dateutil distutils=setuptools docx=python-docx dotenv=python-dotenv faiss=faiss-cpu fitz=PyMuPDF
    git=GitPython github=PyGithub gitlab=python-gitlab google.auth=google-auth
    google.cloud.aiplatform=google-cloud-aiplatform google.cloud.bigquery=google-cloud-bigquery
    google.cloud.firestore=google-cloud-firestore google.cloud.logging=google-cloud-logging
    google.cloud.pubsub=google-cloud-pubsub google.cloud.pubsub_v1=google-cloud-pubsub
    google.cloud.secretmanager=google-cloud-secret-manager google.cloud.storage=google-cloud-storage
    google.genai=google-genai google.protobuf=protobuf googleapiclient=google-api-python-client grpc=grpcio
    grpc_status=grpcio-status ibis=ibis-framework imblearn=imbalanced-learn jose=python-jose jwt=PyJWT
    kafka=kafka-python ldap=python-ldap Levenshtein=levenshtein magic=python-magic multipart=python-multipart
    mysql.connector=mysql-connector-python MySQLdb=mysqlclient nacl=PyNaCl odf=odfpy OpenSSL=pyOpenSSL PIL=Pillow
    pkg_resources=setuptools<81 pptx=python-pptx psycopg2=psycopg2-binary rest_framework=djangorestframework
    ruamel.yaml=ruamel.yaml serial=pyserial skimage=scikit-image sklearn=scikit-learn skopt=scikit-optimize
    slugify=python-slugify snowflake.connector=snowflake-connector-python socks=PySocks telegram=python-telegram-bot
    umap=umap-learn usb=pyusb websocket=websocket-client wx=wxPython yaml=PyYAML zmq=pyzmq
    """
)
ALIKE = pairs(
    """
    accelerate aiohttp altair anthropic anyio arrow bokeh boto3 botocore catboost celery certifi cloudpickle
    cryptography cvxpy dash dask datasets django duckdb fastapi fastparquet flask flask_cors flask_restful
    flask_sqlalchemy fsspec gcsfs gensim geopandas gradio great_expectations gunicorn h5py httpx hvplot hyperopt
    igraph jinja2 joblib jsonschema jupyter keras langchain langchain_core lightgbm llama_index loguru lxml markdown
    matplotlib mlflow msgpack networkx nltk notebook numba numexpr numpy onnx onnxruntime openai openpyxl optuna
    orjson pandas pandera papermill patsy peewee plotly polars prefect prometheus_client prophet psutil psycopg
    pyarrow pydantic pydantic_settings pydub pymongo pymysql pyodbc pypdf pyspark pytest pytorch_lightning ray redis
    requests rich s3fs scipy seaborn selenium sentence_transformers sentry_sdk setuptools shap six sktime spacy
    sqlalchemy starlette statsforecast statsmodels streamlit structlog sympy tables tabulate tenacity tensorflow
    tensorflow_hub textblob tokenizers toml torch torchaudio torchvision tornado tqdm transformers typer tzdata
    ujson urllib3 uvicorn wandb werkzeug wheel wordcloud xarray xgboost xlrd xlsxwriter yfinance
    """
)


def package(module: str) -> str:
    """Return what a requirement of this module's package says, "" where that is not known for sure."""
    parts = module.split(".")
    for size in range(len(parts), 0, -1):
        name = ".".join(parts[:size])
        if name in OTHERWISE or name in ALIKE:
            return OTHERWISE.get(name, name.replace("_", "-"))
    return ""


def module(name: str) -> str:
    """Return the module of a package that is imported under another name than its own, "" of any other."""
    found = (key for key, written in OTHERWISE.items() if canonical(written) == canonical(name) != canonical(key))
    return next(found, "")


def meant(requirement: str) -> str:
    """Return the package that a requirement means which names a module, or is misspelt, "" where none is near."""
    written = next((known for known in OTHERWISE if canonical(known) == canonical(requirement)), "")
    if written and canonical(OTHERWISE[written]) != canonical(requirement):
        return OTHERWISE[written]
    near = nearest(requirement, {canonical(each): each for each in (*OTHERWISE.values(), *ALIKE)})
    return near if canonical(near) != canonical(requirement) else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that a misspelt one means, "" where none is near."""
    spelt = {each.lower(): each for each in known if abs(len(each) - len(name)) <= max(1, len(name) // 5)}
    close = difflib.get_close_matches(name.lower(), spelt, 1, 0.8)
    return spelt[close[0]] if close else ""


def is_in_python(name: str) -> bool:
    """Return whether a module of the standard library has this name, and not just one that is installed."""
    try:
        spec = importlib.util.find_spec(name.replace("-", "_"))
    except (ImportError, ValueError):
        return False
    origin = (spec.origin or "") if spec else ""
    library = sysconfig.get_paths()["stdlib"]
    return origin in ("built-in", "frozen") or (origin.startswith(library) and "site-packages" not in origin)
