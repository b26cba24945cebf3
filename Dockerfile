# The image of Tellonce.  How to run it: README.md, "Run it in a container".
# What can be run of this file without an engine, CI runs: scripts/dockerfile_steps.py.

# The Python that CI tests with; --build-arg PYTHON=3.13-slim-bookworm takes another.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY server server/
COPY mappings mappings/
COPY smart_apps smart_apps/
COPY terminology terminology/
RUN python -m pip wheel --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/tellonce \
    && /opt/tellonce/bin/python -m pip install "$(ls /wheels/*.whl)[mongo]" \
    && /opt/tellonce/bin/python -m pip uninstall --yes pip setuptools

FROM python:${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tellonce" \
      org.opencontainers.image.description="A FHIR R4 server that keeps one record per patient: the patient tells it once." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --system --gid 10001 tellonce \
    && useradd --system --uid 10001 --gid tellonce --home-dir /data --no-create-home \
       --shell /usr/sbin/nologin tellonce \
    && install --directory --owner=tellonce --group=tellonce --mode=0700 /data
COPY --from=build /opt/tellonce /opt/tellonce

# Every setting is a variable (docs/settings.md).  HL7v2 is off until the operator says on which
# port, and with which certificate.
ENV PATH=/opt/tellonce/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TELLONCE_HOST=0.0.0.0 \
    TELLONCE_PORT=8080 \
    TELLONCE_MLLP_PORT=none \
    TELLONCE_DATA=/data
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080 2575
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "server.healthcheck"]
ENTRYPOINT ["tellonce"]
CMD ["serve"]
