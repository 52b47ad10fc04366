# The controller's image; out of the box also the image of stages that name none.
# git and ssh: the controller's own. libgomp1: stages', for LightGBM and others. /usr/local/bin/python3 stays free of our packages, so that stages see a plain Python.
# `make image` names the base by its digest; a node without a registry knows it by its name only.
ARG BASE=python:3.12-slim
FROM ${BASE} AS base
RUN (command -v git && command -v ssh && ls /usr/lib/*/libgomp.so.1) >/dev/null 2>&1 || { \
        apt-get update && apt-get install -y --no-install-recommends ca-certificates git libgomp1 openssh-client \
        && rm -rf /var/lib/apt/lists/*; }
# The file system is read-only in a pod, so whatever is not compiled here would be compiled at every start.
RUN python3 -m compileall -q -j 0 -x '/(tests?|idlelib|lib2to3|site-packages|ensurepip)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"

FROM base AS build
ENV UV_PYTHON=/usr/local/bin/python3 UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
WORKDIR /build
COPY pyproject.toml uv.lock ./
# uv itself comes at the version and with the hashes that the lock file holds for it.
RUN python3 -c "import tomllib; \
uv = next(p for p in tomllib.load(open('uv.lock', 'rb'))['package'] if p['name'] == 'uv'); \
print('uv==' + uv['version'], *('--hash=' + wheel['hash'] for wheel in uv['wheels']))" > uv.txt \
    && python3 -m pip install --quiet --no-cache-dir --only-binary :all: --require-hashes --target /opt/uv -r uv.txt
# What is installed, and as CycloneDX where scanners of images look for it. Only kubernetes.aio wants aiohttp.
RUN used="export --quiet --locked --no-dev --prune aiohttp --prune aiohttp-retry" \
    && /opt/uv/bin/uv venv --quiet /opt/coachwork \
    && /opt/uv/bin/uv $used --no-emit-project --output-file requirements.txt \
    && /opt/uv/bin/uv $used --format cyclonedx1.5 --output-file /opt/coachwork/coachwork.cdx.json \
    && /opt/uv/bin/uv pip install --quiet --python /opt/coachwork --no-deps --require-hashes -r requirements.txt
# The official client logs in and speaks HTTP here (docs/adr/0018): these are its models and calls, 110 MB.
RUN cd /opt/coachwork/lib/python3.*/site-packages/kubernetes \
    && rm -r aio client/api && find client/models -mindepth 1 ! -name '__init__*' ! -name __pycache__ -delete
COPY README.md LICENSE ./
COPY controller controller
RUN /opt/uv/bin/uv pip install --quiet --python /opt/coachwork --no-deps . && rm -f /opt/coachwork/.lock
# Stages' images may have the standard library without bytecode, as this one's base: the launcher brings its own along.
RUN cd /opt/coachwork/lib/python3.*/site-packages/controller/runtime && python3 bytecode.py bytecode /coachwork/tools

FROM base
COPY --from=build /opt/coachwork /opt/coachwork
RUN ln -s /opt/coachwork/bin/coachwork /opt/coachwork/bin/uv /usr/local/bin/ \
    && groupadd --gid 10001 coachwork \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin coachwork
ENV PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["/opt/coachwork/bin/coachwork"]
