# A stand-in for Jaeger's image: the native build of tools/jaeger.
FROM milvus-otel-test/base
COPY all-in-one /usr/local/bin/all-in-one
ENTRYPOINT ["all-in-one"]
