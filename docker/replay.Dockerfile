# Image of the replay client, with the bundled samples. `make images` builds it; README.md tells the rest.
ARG PYTHON=python:3.11-slim-bookworm

# Wheels to prefer over an index: --build-context wheels=FOLDER puts them here. Empty unless a builder brings some.
FROM scratch AS wheels

# The tools of a build, none of which reaches the image: /install EXTRA puts what an extra names into /opt/venv.
FROM ${PYTHON} AS build
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/venv
WORKDIR /project
COPY pyproject.toml constraints.txt ./
COPY --chmod=755 docker/install /install

FROM build AS venv
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt /install replay

# The client, what reads images, and of the services the wire contract alone; byte-compiled.
FROM build AS app
COPY imaging /app/imaging
COPY services/__init__.py /app/services/
COPY services/wire /app/services/wire
COPY clients/__init__.py clients/terminal.py /app/clients/
COPY clients/replay /app/clients/replay
COPY clients/samples /app/clients/samples
RUN python3 -m compileall -q /app

FROM ${PYTHON} AS client
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tallyglass-replay" \
      org.opencontainers.image.description="Replays RealCQA and TallyQA against a service, and reports" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --chmod=755 docker/strip /tmp/strip
RUN /tmp/strip && rm /tmp/strip
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /app
COPY --from=app /app /app
COPY --from=venv /opt/venv /opt/venv
RUN python -c "import clients.replay.__main__"
USER 10001:10001
# It asks and ends: there is nothing to probe.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "clients.replay"]
CMD ["--help"]
