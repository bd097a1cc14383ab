//! Databases of a server.

use super::MilvusClient;
use super::error::{Error, Result};
use super::partition::owned;
use super::schema::{pair_list, pairs};
use super::version::Version;
use crate::proto::milvus as m;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A database, as Milvus describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseInfo {
    /// Its name.
    pub name: String,
    /// Its number in Milvus.
    pub id: i64,
    /// Its properties.
    pub properties: BTreeMap<String, String>,
}

/// Databases, each with its own collections.
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// client.create_database("archive", &[]).await?;
/// assert!(client.list_databases().await?.contains(&"archive".to_owned()));
/// client.alter_database_properties("archive", &[("database.max.collections", "10")]).await?;
/// println!("{:?}", client.describe_database("archive").await?.properties);
/// client.drop_database_properties("archive", &["database.max.collections"]).await?;
///
/// let archive = client.use_database("archive")?;
/// archive.create_collection("films", 768).await?;
/// archive.drop_collection("films").await?;
/// client.drop_database("archive").await?;
/// # Ok(())
/// # }
/// ```
impl MilvusClient {
    /// A client of the same connection that works in another database. This client keeps its own.
    ///
    /// Milvus 2.2.9 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The name can't be sent. Nothing is sent here: if the database doesn't exist, the first call fails.
    pub fn use_database(&self, database: &str) -> Result<Self> {
        let metadata = database
            .parse()
            .map_err(|_| Error::invalid(format!("`{database}` can't be the name of a database")))
            .map_err(|error| error.in_operation("use_database", ""))?;
        Ok(self.derive(|shared| {
            shared.connection.metadata.insert("dbname", metadata);
            database.clone_into(&mut shared.database);
            shared.known = Arc::default();
            if let Some(operations) = &mut shared.operations {
                operations.set_database(database);
            }
        }))
    }

    /// Creates a database.
    ///
    /// Milvus 2.2.9 and later, with properties 2.4.6 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The name is in use, or the server's limit of databases is reached.
    pub async fn create_database(&self, database: &str, properties: &[(&str, &str)]) -> Result<()> {
        let create = async {
            if !properties.is_empty() {
                self.require(Version(2, 4, 6), "a property of a new database")?;
            }
            let request = m::CreateDatabaseRequest {
                db_name: database.to_owned(),
                properties: pair_list(properties),
            };
            self.call(request).await.map(drop)
        };
        self.operation("create_database", "", create).await
    }

    /// Drops a database, which must be empty.
    ///
    /// Milvus 2.2.9 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// It has collections.
    pub async fn drop_database(&self, database: &str) -> Result<()> {
        let request = m::DropDatabaseRequest {
            db_name: database.to_owned(),
        };
        self.change("drop_database", "", request).await
    }

    /// The names of the server's databases.
    ///
    /// Milvus 2.2.9 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn list_databases(&self) -> Result<Vec<String>> {
        let request = m::ListDatabasesRequest {};
        Ok(self.run("list_databases", "", request).await?.db_names)
    }

    /// Describes a database.
    ///
    /// Milvus 2.4.3 and later; against a stub only.
    ///
    /// # Errors
    /// It doesn't exist.
    pub async fn describe_database(&self, database: &str) -> Result<DatabaseInfo> {
        let request = m::DescribeDatabaseRequest {
            db_name: database.to_owned(),
        };
        let answer = self.run("describe_database", "", request).await?;
        Ok(DatabaseInfo {
            name: answer.db_name,
            id: answer.db_id,
            properties: pairs(answer.properties),
        })
    }

    /// Sets properties of a database.
    ///
    /// Milvus 2.4.1 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such database, or Milvus refuses a value.
    pub async fn alter_database_properties(
        &self,
        database: &str,
        properties: &[(&str, &str)],
    ) -> Result<()> {
        let request = m::AlterDatabaseRequest {
            db_name: database.to_owned(),
            properties: pair_list(properties),
            ..Default::default()
        };
        self.change("alter_database_properties", "", request).await
    }

    /// Removes properties of a database.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such database.
    pub async fn drop_database_properties(&self, database: &str, keys: &[&str]) -> Result<()> {
        let request = m::AlterDatabaseRequest {
            db_name: database.to_owned(),
            delete_keys: owned(keys),
            ..Default::default()
        };
        self.change("drop_database_properties", "", request).await
    }
}
