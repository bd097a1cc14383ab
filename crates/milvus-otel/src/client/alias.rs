//! Aliases of collections.

use super::MilvusClient;
use super::error::Result;
use crate::proto::milvus as m;

/// Aliases: other names of collections, which can be moved from one to another.
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// client.create_alias("films_v1", "films").await?;
/// client.alter_alias("films_v2", "films").await?;
/// assert_eq!(client.describe_alias("films").await?, "films_v2");
/// assert_eq!(client.list_aliases("films_v2").await?, ["films"]);
/// client.drop_alias("films").await?;
/// # Ok(())
/// # }
/// ```
impl MilvusClient {
    /// Creates an alias of a collection.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// A collection or an alias has that name already, or the collection doesn't exist.
    pub async fn create_alias(&self, collection: &str, alias: &str) -> Result<()> {
        let request = m::CreateAliasRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            alias: alias.to_owned(),
        };
        self.forget_schema(alias);
        self.change("create_alias", collection, request).await
    }

    /// Drops an alias. The collection stays.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed. An alias that doesn't exist isn't an error, at least in 2.3.5.
    pub async fn drop_alias(&self, alias: &str) -> Result<()> {
        let request = m::DropAliasRequest {
            db_name: self.database(),
            alias: alias.to_owned(),
        };
        self.forget_schema(alias);
        self.change("drop_alias", "", request).await
    }

    /// Moves an alias to another collection.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such alias or collection.
    pub async fn alter_alias(&self, collection: &str, alias: &str) -> Result<()> {
        let request = m::AlterAliasRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
            alias: alias.to_owned(),
        };
        self.forget_schema(alias);
        self.change("alter_alias", collection, request).await
    }

    /// The collection that an alias names.
    ///
    /// Milvus 2.3 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such alias.
    pub async fn describe_alias(&self, alias: &str) -> Result<String> {
        let request = m::DescribeAliasRequest {
            db_name: self.database(),
            alias: alias.to_owned(),
        };
        Ok(self.run("describe_alias", "", request).await?.collection)
    }

    /// The aliases of a collection, or of all collections if `collection` is empty.
    ///
    /// Milvus 2.3 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such collection.
    pub async fn list_aliases(&self, collection: &str) -> Result<Vec<String>> {
        let request = m::ListAliasesRequest {
            db_name: self.database(),
            collection_name: collection.to_owned(),
        };
        Ok(self.run("list_aliases", collection, request).await?.aliases)
    }
}
