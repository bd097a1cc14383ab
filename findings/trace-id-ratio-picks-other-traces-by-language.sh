#!/usr/bin/env bash
# Expected: two services with OTEL_TRACES_SAMPLER=traceidratio and the same argument keep the same traces. The
#   decision is made from the trace id so that it can be repeated anywhere.
# Observed: each SDK reads different bits. Python compares the low 64 bits of the id, Java folds them at their sign,
#   and JavaScript XORs the whole id into 32 bits. Of 20,000 random ids at a ratio of 0.1, JavaScript and Python agree
#   on about a tenth of those that either keeps, as if by chance; Java keeps half of Python's.
# Versions: opentelemetry-sdk 1.45.2 (Python), @opentelemetry/sdk-trace-node 2.12.1, opentelemetry-sdk-trace 1.63.0
#   (Java).
# Affects: anyone who samples by ratio in each service instead of by the parent's decision. A trace through two
#   languages is whole in one case of a hundred instead of one of ten, and incomplete in all others.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-node@2.12.1 >/dev/null
cat >pom.xml <<'XML'
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>program</groupId>
  <artifactId>program</artifactId>
  <version>0</version>
  <dependencies>
    <dependency>
      <groupId>io.opentelemetry</groupId>
      <artifactId>opentelemetry-sdk-trace</artifactId>
      <version>1.63.0</version>
    </dependency>
  </dependencies>
</project>
XML
mvn --batch-mode --quiet dependency:copy-dependencies -DoutputDirectory=lib >/dev/null

python3 -c 'import os
for _ in range(20000): print(os.urandom(16).hex())' >ids

cat >kept.py <<'PY'
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

sampler = TraceIdRatioBased(0.1)
for line in open("ids"):
    if sampler.should_sample(None, int(line, 16), "x").decision is Decision.RECORD_AND_SAMPLE:
        print(line.strip())
PY
cat >kept.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace-node';

const sampler = new TraceIdRatioBasedSampler(0.1);
for (const id of readFileSync('ids', 'utf8').trim().split('\n')) {
  if (sampler.shouldSample(ROOT_CONTEXT, id).decision === SamplingDecision.RECORD_AND_SAMPLED) console.log(id);
}
JS
cat >Kept.java <<'JAVA'
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.trace.samplers.*;
import java.nio.file.*;
import java.util.List;

class Kept {
  public static void main(String[] args) throws Exception {
    Sampler sampler = Sampler.traceIdRatioBased(0.1);
    for (String id : Files.readAllLines(Path.of("ids"))) {
      SamplingResult result =
          sampler.shouldSample(Context.root(), id, "x", SpanKind.SERVER, Attributes.empty(), List.of());
      if (result.getDecision() == SamplingDecision.RECORD_AND_SAMPLE) System.out.println(id);
    }
  }
}
JAVA
timeout 180 venv/bin/python kept.py | sort >python
timeout 180 node kept.mjs | sort >node
timeout 180 java -cp 'lib/*' Kept.java | sort >java

count() { wc -l <"$1"; }
both() { comm -12 "$1" "$2" | wc -l; }
echo "kept of 20,000 at 0.1: Python $(count python), JavaScript $(count node), Java $(count java)"
echo "kept by Python and JavaScript: $(both python node); by Python and Java: $(both python java); by JavaScript and Java: $(both node java)"
# Each keeps 2,000. Two independent samplers would share 200.
for language in python node java; do
  kept=$(count $language)
  { [ "$kept" -gt 1700 ] && [ "$kept" -lt 2300 ]; } || exit 1
done
{ [ "$(both python node)" -lt 400 ] && [ "$(both node java)" -lt 400 ]; } || exit 1
{ [ "$(both python java)" -gt 800 ] && [ "$(both python java)" -lt 1200 ]; } || exit 1
