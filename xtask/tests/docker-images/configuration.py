"""Writes the embedded server's configuration with an image's paths and without the trace block: configuration.py FOLDER."""

import re
import sys
from pathlib import Path

import milvus

DATA = "/var/lib/milvus"

folder = Path(sys.argv[1]).resolve()
config = milvus.MilvusServerConfig(data_dir=str(folder))
config.resolve_storage()
config.write_config()
for file in (folder / "configs").iterdir():
    file.write_text(file.read_text().replace(str(folder), DATA))

main = folder / "configs" / "milvus.yaml"
text, found = re.subn(r"(?m)^trace:\n(?:(?:[ #].*)?\n)*", "", main.read_text())
assert found == 1, "there is one trace block"
main.write_text(text)
