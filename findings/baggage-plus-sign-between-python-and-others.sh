#!/usr/bin/env bash
# Expected: W3C baggage arrives as it was set, whatever languages the two services are written in.
# Observed: Python encodes and decodes baggage like an HTML form: it sends a space as `+` and reads a `+` as a space.
#   In W3C baggage a plus sign is a plus sign, and Go sends it unchanged. So "blue team" from Python is
#   "blue+team" in Go and JavaScript, and "+49 30 C++" from Go is "49 30 C" in Python: the plus signs are lost,
#   also from telephone numbers and base64.
# Versions: opentelemetry-api 1.45.2 (Python), go.opentelemetry.io/otel v1.47.0, @opentelemetry/core 2.12.1.
# Affects: services in several languages that pass a user, a tenant or a token in baggage and look it up at the end.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-api==1.45.2
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/core@2.12.1 >/dev/null
cat >go.mod <<'GO'
module program

go 1.25.0

require go.opentelemetry.io/otel v1.47.0
GO

# Each program prints the header for a value (`set VALUE`), or the value of a header (`get HEADER`).
cat >program.py <<'PY'
import sys

from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator

carrier = {"baggage": sys.argv[2]}
if sys.argv[1] == "set":
    W3CBaggagePropagator().inject(carrier, baggage.set_baggage("user", sys.argv[2]))
    print(carrier["baggage"])
else:
    print(baggage.get_baggage("user", W3CBaggagePropagator().extract(carrier)))
PY
cat >program.mjs <<'JS'
import { defaultTextMapGetter, propagation, ROOT_CONTEXT } from '@opentelemetry/api';
import { W3CBaggagePropagator } from '@opentelemetry/core';

const carrier = { baggage: process.argv[3] };
const context = new W3CBaggagePropagator().extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
console.log(propagation.getBaggage(context).getEntry('user').value);
JS
cat >program.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
)

func main() {
	carrier := propagation.MapCarrier{"baggage": os.Args[2]}
	if os.Args[1] == "set" {
		member, _ := baggage.NewMemberRaw("user", os.Args[2])
		all, _ := baggage.New(member)
		propagation.Baggage{}.Inject(baggage.ContextWithBaggage(context.Background(), all), carrier)
		fmt.Println(carrier["baggage"])
	} else {
		ctx := propagation.Baggage{}.Extract(context.Background(), carrier)
		fmt.Println(baggage.FromContext(ctx).Member("user").Value())
	}
}
GO
go build -mod=mod -o program program.go 2>/dev/null

from_python=$(timeout 180 venv/bin/python program.py set "blue team")
from_go=$(timeout 180 ./program set "+49 30 C++")
in_go=$(timeout 180 ./program get "$from_python")
in_node=$(timeout 180 node program.mjs get "$from_python")
in_python=$(timeout 180 venv/bin/python program.py get "$from_go")
echo "blue team leaves Python as $from_python, and is $in_go in Go, $in_node in JavaScript"
echo "+49 30 C++ leaves Go as $from_go, and is $in_python in Python"
[ "$in_go" = "blue+team" ] && [ "$in_node" = "blue+team" ] && [ "$in_python" = "49 30 C" ] || exit 1
