import com.google.gson.Gson
import com.google.gson.JsonObject
import io.milvus.v2.client.ConnectConfig
import io.milvus.v2.client.MilvusClientV2
import io.milvus.v2.common.ConsistencyLevel
import io.milvus.v2.service.collection.request.CreateCollectionReq
import io.milvus.v2.service.collection.request.DropCollectionReq
import io.milvus.v2.service.vector.request.InsertReq
import io.milvus.v2.service.vector.request.SearchReq
import io.milvus.v2.service.vector.request.data.FloatVec
import io.opentelemetry.api.GlobalOpenTelemetry
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext

val texts = listOf("the cat sleeps on the sofa", "the dog barks at night", "rain falls on the roof")

/** Inserts three texts with Milvus's Java client and searches them in a coroutine, under the Java agent. */
fun main() {
    val root = GlobalOpenTelemetry.getTracer("kotlin").spanBuilder("kotlin").startSpan()
    val scope = root.makeCurrent()
    val client = MilvusClientV2(ConnectConfig.builder().uri(System.getenv("MILVUS_URI")).build())
    try {
        runBlocking { addAndSearch(client, System.getenv("MILVUS_COLLECTION") ?: "kotlin") }
    } finally {
        client.close(5)
        scope.close()
        root.end()
    }
}

/** The client blocks, so its calls run on the dispatcher for blocking work; the agent carries the span there. */
suspend fun addAndSearch(client: MilvusClientV2, collection: String) = withContext(Dispatchers.IO) {
    client.createCollection(
        CreateCollectionReq.builder()
            .collectionName(collection)
            .dimension(8)
            .metricType("L2")
            .consistencyLevel(ConsistencyLevel.STRONG)
            .build(),
    )
    val rows = texts.mapIndexed { id, text -> row(id, text) }
    client.insert(InsertReq.builder().collectionName(collection).data(rows).build())
    val question = FloatVec(embed("which animal is quiet?"))
    val search = SearchReq.builder().collectionName(collection).data(listOf(question)).topK(1)
    val hit = client.search(search.outputFields(listOf("text")).build()).searchResults[0][0]
    println("found ${hit.entity["text"]}")
    client.dropCollection(DropCollectionReq.builder().collectionName(collection).build())
}

fun row(id: Int, text: String): JsonObject =
    Gson().toJsonTree(mapOf("id" to id, "vector" to embed(text), "text" to text)).asJsonObject

/** Counts characters. */
fun embed(text: String) = FloatArray(8).apply { text.forEach { this[it.code % 8] += 1f } }
