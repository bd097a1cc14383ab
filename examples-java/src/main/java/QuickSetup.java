import com.google.gson.Gson;
import com.google.gson.JsonObject;
import io.milvus.v2.client.ConnectConfig;
import io.milvus.v2.client.MilvusClientV2;
import io.milvus.v2.client.RetryConfig;
import io.milvus.v2.common.ConsistencyLevel;
import io.milvus.v2.service.collection.request.CreateCollectionReq;
import io.milvus.v2.service.collection.request.DropCollectionReq;
import io.milvus.v2.service.collection.request.GetLoadStateReq;
import io.milvus.v2.service.collection.request.HasCollectionReq;
import io.milvus.v2.service.collection.request.LoadCollectionReq;
import io.milvus.v2.service.vector.request.InsertReq;
import io.milvus.v2.service.vector.request.SearchReq;
import io.milvus.v2.service.vector.request.data.FloatVec;
import io.milvus.v2.service.vector.response.SearchResp.SearchResult;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Scope;
import java.util.List;
import java.util.Map;
import java.util.logging.Logger;
import java.util.stream.IntStream;

/** Milvus in ten calls, traced by the Java agent: the calls and the server's work are one trace. */
public final class QuickSetup {
  private static final String URI = env("MILVUS_URI", "http://localhost:19530");
  private static final String TOKEN = System.getenv("MILVUS_TOKEN");
  private static final String COLLECTION = env("MILVUS_COLLECTION", "quick_setup");
  private static final int DIMENSION = 5;

  static {
    // Lines without time and class.
    System.setProperty("java.util.logging.SimpleFormatter.format", "%5$s%n");
  }

  private static final Logger LOG = Logger.getLogger("quick_setup");

  public static void main(String[] args) {
    // The agent has set up OpenTelemetry; the program adds only this span.
    Span root =
        GlobalOpenTelemetry.getTracer("quick_setup").spanBuilder("test_milvus_otel").startSpan();
    boolean failed = false;
    try (Scope scope = root.makeCurrent()) {
      connectAndRun();
    } catch (Exception | LinkageError e) { // LinkageError: versions that don't fit together
      root.recordException(e);
      root.setStatus(StatusCode.ERROR, e.toString());
      System.err.println("failed: " + e);
      for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
        System.err.println("caused by: " + cause);
      }
      failed = true;
    } finally {
      root.end();
    }
    System.out.println("trace_id=" + root.getSpanContext().getTraceId());
    // The agent sends what is still queued when the JVM exits, System.exit included.
    if (failed) {
      System.exit(1);
    }
  }

  private static void connectAndRun() throws InterruptedException {
    ConnectConfig config =
        ConnectConfig.builder()
            .uri(URI)
            .token(TOKEN)
            .connectTimeoutMs(10_000)
            .rpcDeadlineMs(30_000)
            .build();
    MilvusClientV2 client = new MilvusClientV2(config);
    try {
      client.retryConfig(RetryConfig.builder().maxRetryTimeoutMs(30_000).build());
      LOG.info("connected to " + URI);
      quickSetup(client);
    } finally {
      client.close(5);
    }
  }

  private static void quickSetup(MilvusClientV2 client) {
    if (client.hasCollection(HasCollectionReq.builder().collectionName(COLLECTION).build())) {
      client.dropCollection(DropCollectionReq.builder().collectionName(COLLECTION).build());
      LOG.info("dropped the " + COLLECTION + " that was there");
    }

    // This creates the index, too. With Strong consistency, the search below sees the rows inserted
    // just before it.
    client.createCollection(
        CreateCollectionReq.builder()
            .collectionName(COLLECTION)
            .dimension(DIMENSION)
            .metricType("COSINE")
            .consistencyLevel(ConsistencyLevel.STRONG)
            .build());
    // createCollection starts the load and returns; this waits until it is done.
    client.loadCollection(LoadCollectionReq.builder().collectionName(COLLECTION).build());
    LOG.info("created " + COLLECTION);

    boolean loaded =
        client.getLoadState(GetLoadStateReq.builder().collectionName(COLLECTION).build());
    LOG.info("loaded: " + loaded);

    long inserted =
        client
            .insert(InsertReq.builder().collectionName(COLLECTION).data(rows()).build())
            .getInsertCnt();
    if (inserted != 10) {
      throw new IllegalStateException("inserted " + inserted + " rows instead of 10");
    }
    LOG.info("inserted " + inserted + " rows");

    FloatVec query = new FloatVec(new float[] {0.1f, 0.2f, 0.3f, 0.4f, 0.5f});
    SearchReq search =
        SearchReq.builder().collectionName(COLLECTION).data(List.of(query)).topK(3).build();
    List<SearchResult> hits = client.search(search).getSearchResults().get(0);
    if (hits.size() != 3) {
      throw new IllegalStateException("found " + hits.size() + " rows instead of 3");
    }
    LOG.info("found ids " + hits.stream().map(SearchResult::getId).toList());

    client.dropCollection(DropCollectionReq.builder().collectionName(COLLECTION).build());
    LOG.info("dropped " + COLLECTION);
  }

  private static List<JsonObject> rows() {
    return IntStream.range(0, 10).mapToObj(QuickSetup::row).toList();
  }

  private static JsonObject row(int id) {
    List<Float> vector = IntStream.range(0, DIMENSION).mapToObj(d -> (id + d) / 10f).toList();
    String color = List.of("red", "green", "blue").get(id % 3);
    return new Gson()
        .toJsonTree(Map.of("id", id, "vector", vector, "color", color))
        .getAsJsonObject();
  }

  private static String env(String name, String fallback) {
    String value = System.getenv(name);
    return value == null || value.isEmpty() ? fallback : value;
  }
}
