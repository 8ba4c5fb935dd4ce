# One image for the three processes: docker run forestall run ingest | worker | web
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/forestall
ENV PATH=/opt/forestall/bin:$PATH
WORKDIR /src
# what changes seldom first: the dependencies stay in the cache of the builder
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY connectors connectors
COPY detectors detectors
COPY streams streams
RUN pip install --no-deps --no-build-isolation . \
    && python -m compileall -q /opt/forestall/lib

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Forestall" \
      org.opencontainers.image.licenses="Apache-2.0"
# documents in Chinese as PDF: docs/documents.md
RUN apt-get update \
    && apt-get install -y --no-install-recommends fonts-wqy-microhei \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/forestall forestall
COPY --from=build /opt/forestall /opt/forestall
ENV PATH=/opt/forestall/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/lib/forestall/numba
USER 10001
WORKDIR /var/lib/forestall
VOLUME /var/lib/forestall
STOPSIGNAL SIGTERM
ENTRYPOINT ["forestall"]
CMD ["run"]
