import io.milvus.v2.client.ConnectConfig;
import io.milvus.v2.client.MilvusClientV2;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.context.Scope;

/** A client on a port where nothing listens. */
public class Down {
  public static void main(String[] arguments) {
    Span span = GlobalOpenTelemetry.getTracer("program").spanBuilder("program").startSpan();
    try (Scope scope = span.makeCurrent()) {
      new MilvusClientV2(ConnectConfig.builder().uri("http://127.0.0.1:1").connectTimeoutMs(2000).build());
    } catch (RuntimeException exception) {
      System.out.println(exception.getMessage());
    } finally {
      span.end();
    }
  }
}
