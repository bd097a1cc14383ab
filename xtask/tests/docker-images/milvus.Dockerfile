# A stand-in for Milvus's image, for tests without a registry: the embedded server, laid out as the official image is.
FROM milvus-otel-test/base
COPY bin /milvus/bin
COPY configs /milvus/configs
ENV PATH=/milvus/bin:$PATH LD_LIBRARY_PATH=/milvus/bin
WORKDIR /milvus
# Later versions lay user.yaml over milvus.yaml themselves; for this one it is put there, in place of the block it lacks.
ENTRYPOINT ["sh", "-c", "cat configs/user.yaml >> configs/milvus.yaml && exec \"$@\"", "sh"]
