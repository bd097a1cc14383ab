// Load this file before everything else (node --import ./tracing.js …): gRPC can't be instrumented
// once it is loaded.
import { diag, DiagConsoleLogger, DiagLogLevel } from '@opentelemetry/api';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
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
const providers = [provider];

// The tutorial's Jaeger accepts only traces, so these two are off unless the environment asks for them.
let meterProvider;
if (process.env.OTEL_METRICS_EXPORTER === 'otlp') {
  const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() });
  meterProvider = new MeterProvider({ resource, readers: [reader] });
  providers.push(meterProvider);
}
if (process.env.OTEL_LOGS_EXPORTER === 'otlp') {
  const processors = [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })];
  const loggerProvider = new LoggerProvider({ resource, processors });
  providers.push(loggerProvider);
  // No instrumentation reads the console: its lines become log records of the current span here.
  const logger = loggerProvider.getLogger('console');
  const print = console.log;
  console.log = (line) => {
    print(line);
    logger.emit({ severityNumber: 9, severityText: 'INFO', body: line });
  };
}
registerInstrumentations({ instrumentations: [new GrpcInstrumentation()], meterProvider });

// Sends what is still queued when the program has nothing left to do. A signal or process.exit()
// skips this: the open spans and those of the last five seconds are lost. A program that is stopped
// by a signal needs a handler that calls shutdown() first.
process.once('beforeExit', () =>
  Promise.all(providers.map((one) => one.shutdown())).catch((error) =>
    console.error(`telemetry was lost: ${error.message}`),
  ),
);
