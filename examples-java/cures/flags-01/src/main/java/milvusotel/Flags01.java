package milvusotel;

import io.opentelemetry.sdk.autoconfigure.spi.AutoConfigurationCustomizer;
import io.opentelemetry.sdk.autoconfigure.spi.AutoConfigurationCustomizerProvider;
import io.opentelemetry.sdk.trace.IdGenerator;

/**
 * Makes the Java agent send {@code traceparent} with flags 01 instead of 03.
 *
 * <p>Agents from 2.26.0 on announce random trace ids with the flag 02 of W3C Trace Context Level 2.
 * Servers built with OpenTelemetry Go before 1.42, such as Milvus, drop a header with that flag.
 */
public final class Flags01 implements AutoConfigurationCustomizerProvider {
  @Override
  public void customize(AutoConfigurationCustomizer configuration) {
    configuration.addTracerProviderCustomizer(
        (builder, properties) -> builder.setIdGenerator(new Unannounced()));
  }

  /** The SDK's random ids; by default, an IdGenerator doesn't announce that they are random. */
  private static final class Unannounced implements IdGenerator {
    private final IdGenerator random = IdGenerator.random();

    @Override
    public String generateSpanId() {
      return random.generateSpanId();
    }

    @Override
    public String generateTraceId() {
      return random.generateTraceId();
    }
  }
}
