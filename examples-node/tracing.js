// Load this file before everything else (node --import ./tracing.js …): gRPC can't be instrumented
// once it is loaded.
import { diag, DiagConsoleLogger, DiagLogLevel } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.ERROR);

// The environment is merged last, so it wins.
const resource = defaultResource()
  .merge(
    resourceFromAttributes({ 'service.name': 'milvus-client', application: 'milvus-otel-test' }),
  )
  .merge(detectResources({ detectors: [envDetector] }));

const provider = new NodeTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
registerInstrumentations({ instrumentations: [new GrpcInstrumentation()] });

// Sends the spans that are still queued when the program has nothing left to do. A signal or
// process.exit() skips this: the open spans and those of the last five seconds are lost. A program
// that is stopped by a signal needs a handler that calls shutdown() first.
process.once('beforeExit', () =>
  provider.shutdown().catch((error) => console.error(`spans were lost: ${error.message}`)),
);
