# Two images. `production` is the daemon and its commands; `demo` has the local clouds besides. docs/image.md explains both.
#
# BASE_IMAGE is any image of Debian or Ubuntu with Python 3.11 or newer, venv, and certificates: it need not call Python
# `python`. Both stages take the same, since an environment only works with the Python that has made it.
ARG BASE_IMAGE=python:3.14-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements.build.lock requirements.run.lock ./
# What is shipped has no pip: another environment installs into it. Only wheels, so that nothing is compiled here.
RUN python3 -m venv tools \
    && tools/bin/pip install --require-hashes --only-binary :all: -r requirements.build.lock \
    && python3 -m venv --without-pip /opt/replicator \
    && tools/bin/pip --python /opt/replicator/bin/python install --require-hashes --only-binary :all: --no-compile \
        -r requirements.run.lock
COPY pyproject.toml README.md ./
COPY replicator replicator
COPY connectors connectors
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && tools/bin/pip --python /opt/replicator/bin/python install --no-deps --no-index --no-compile wheels/*.whl \
    && rm -rf wheels build replicator.egg-info \
    && /opt/replicator/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/replicator/lib

# The same with the local clouds, Azurite and the Node that runs it included, so that nothing is fetched when it runs.
FROM build AS build-demo
COPY requirements.demo.lock ./
RUN tools/bin/pip --python /opt/replicator/bin/python install --require-hashes --only-binary :all: --no-compile \
        -r requirements.demo.lock
COPY sandbox sandbox
ENV REPLICATOR_SANDBOX_CACHE=/opt/sandbox NODE_OPTIONS=--use-system-ca npm_config_cache=/tmp/npm
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && tools/bin/pip --python /opt/replicator/bin/python install --no-deps --no-index --no-compile --force-reinstall \
        wheels/*.whl \
    && /opt/replicator/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/replicator/lib \
    && /opt/replicator/bin/python -c \
        'from sandbox.azurite.installing import installed; from sandbox.azurite.node import find_node; installed(find_node().npm)' \
    && chmod -R a+rX /opt/sandbox \
    && rm -rf wheels build /tmp/npm

# What both have in common but for what is installed.
FROM ${BASE_IMAGE} AS base
# Nothing that installs or builds Python packages is left, nor what could bring it back.
RUN rm -rf /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/lib/python3*/site-packages/* \
        /usr/local/lib/python3*/ensurepip /usr/lib/python3*/ensurepip /usr/share/python-wheels \
    && groupadd --gid 10001 replicator \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/replicator --create-home --shell /usr/sbin/nologin replicator
# The folder is the one place that is written to: what needs room for a moment, such as SQLite, finds it there as well.
WORKDIR /var/lib/replicator
ENV PATH=/opt/replicator/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TMPDIR=/var/lib/replicator SQLITE_TMPDIR=/var/lib/replicator \
    REPLICATOR_URL=http://127.0.0.1:8080
USER 10001:10001
EXPOSE 8080
# Alive, as in /healthz; whether anything needs attention is another question (/readyz). No proxy is asked.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/replicator/bin/python", "-I", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(os.environ['REPLICATOR_URL'] + '/healthz', timeout=4)"]
ENTRYPOINT ["/opt/replicator/bin/replicator"]

FROM base AS demo
COPY --from=build-demo /opt/sandbox /opt/sandbox
COPY --from=build-demo /opt/replicator /opt/replicator
ENV REPLICATOR_SANDBOX_CACHE=/opt/sandbox
# Its daemon is on a port of its own choice and ends with it.
HEALTHCHECK NONE
CMD ["demo"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="replicator-demo" \
    org.opencontainers.image.description="replicator with local clouds to try it on; never for data that matters" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"

# The last one, so that it is what is built without --target.
FROM base AS production
COPY --from=build /opt/replicator /opt/replicator
CMD ["run", "/etc/replicator/migration.yaml"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="replicator" \
    org.opencontainers.image.description="Keeps DynamoDB tables, S3 buckets and SQS queues copied into Azure" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
