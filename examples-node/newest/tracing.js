// The newest release line has no NodeTracerProvider: context manager, propagator and provider are set one by one.
// Load this file before everything else (node --import ./tracing.js …): gRPC can't be instrumented once it is loaded.
import {
  context,
  diag,
  DiagConsoleLogger,
  DiagLogLevel,
  propagation,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.ERROR);

// The environment is merged last, so it wins.
const resource = defaultResource()
  .merge(
    resourceFromAttributes({ 'service.name': 'milvus-client', application: 'milvus-otel-test' }),
  )
  .merge(detectResources({ detectors: [envDetector] }));

const provider = new TracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
});
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
trace.setGlobalTracerProvider(provider);
registerInstrumentations({ instrumentations: [new GrpcInstrumentation()] });

// Sends the spans that are still queued when the program has nothing left to do.
process.once('beforeExit', () =>
  provider.shutdown().catch((error) => console.error(`spans were lost: ${error.message}`)),
);
