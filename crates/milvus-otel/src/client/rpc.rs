//! The RPCs that the client makes: their names, their answers, and whether they may be made twice.

use crate::proto::common::Status;
use crate::proto::milvus as m;
use prost::Message;

pub(super) const SERVICE: &str = "milvus.proto.milvus.MilvusService";

/// A request of [`SERVICE`].
pub(super) trait Rpc: Message {
    type Response: Answer;
    const METHOD: &'static str;
    /// Whether making the call twice has the same effect as making it once.
    const IDEMPOTENT: bool;
}

/// An answer, which has Milvus's own status somewhere.
pub(super) trait Answer: Message + Default + 'static {
    fn status(&self) -> Option<&Status>;
}

impl Answer for Status {
    fn status(&self) -> Option<&Status> {
        Some(self)
    }
}

macro_rules! answers {
    ($($answer:ident)+) => {
        $(impl Answer for m::$answer {
            fn status(&self) -> Option<&Status> {
                self.status.as_ref()
            }
        })+
    };
}

answers! {
    ConnectResponse GetVersionResponse BoolResponse DescribeCollectionResponse ShowCollectionsResponse
    GetLoadStateResponse GetCollectionStatisticsResponse DescribeIndexResponse
    MutationResult SearchResults QueryResults FlushResponse GetFlushStateResponse
    FlushAllResponse GetFlushAllStateResponse ManualCompactionResponse GetCompactionStateResponse
    ShowPartitionsResponse GetPartitionStatisticsResponse DescribeAliasResponse ListAliasesResponse
    ListDatabasesResponse DescribeDatabaseResponse ListCredUsersResponse SelectRoleResponse
    SelectUserResponse SelectGrantResponse ListPrivilegeGroupsResponse
}

macro_rules! rpcs {
    ($($method:literal $request:ident -> $response:ty, $idempotent:literal;)+) => {
        $(impl Rpc for m::$request {
            type Response = $response;
            const METHOD: &'static str = $method;
            const IDEMPOTENT: bool = $idempotent;
        })+
    };
}

rpcs! {
    "Connect" ConnectRequest -> m::ConnectResponse, true;
    "GetVersion" GetVersionRequest -> m::GetVersionResponse, true;
    "CreateCollection" CreateCollectionRequest -> Status, true;
    "DropCollection" DropCollectionRequest -> Status, true;
    "HasCollection" HasCollectionRequest -> m::BoolResponse, true;
    "DescribeCollection" DescribeCollectionRequest -> m::DescribeCollectionResponse, true;
    "ShowCollections" ShowCollectionsRequest -> m::ShowCollectionsResponse, true;
    "LoadCollection" LoadCollectionRequest -> Status, true;
    "ReleaseCollection" ReleaseCollectionRequest -> Status, true;
    "GetLoadState" GetLoadStateRequest -> m::GetLoadStateResponse, true;
    "GetCollectionStatistics" GetCollectionStatisticsRequest -> m::GetCollectionStatisticsResponse, true;
    "CreateIndex" CreateIndexRequest -> Status, true;
    "DescribeIndex" DescribeIndexRequest -> m::DescribeIndexResponse, true;
    "DropIndex" DropIndexRequest -> Status, true;
    "Insert" InsertRequest -> m::MutationResult, false;
    "Upsert" UpsertRequest -> m::MutationResult, true;
    "Delete" DeleteRequest -> m::MutationResult, true;
    "Search" SearchRequest -> m::SearchResults, true;
    "Query" QueryRequest -> m::QueryResults, true;
    "Flush" FlushRequest -> m::FlushResponse, true;
    "GetFlushState" GetFlushStateRequest -> m::GetFlushStateResponse, true;
    "FlushAll" FlushAllRequest -> m::FlushAllResponse, true;
    "GetFlushAllState" GetFlushAllStateRequest -> m::GetFlushAllStateResponse, true;
    "ManualCompaction" ManualCompactionRequest -> m::ManualCompactionResponse, false;
    "GetCompactionState" GetCompactionStateRequest -> m::GetCompactionStateResponse, true;
    "RenameCollection" RenameCollectionRequest -> Status, false;
    "AlterCollection" AlterCollectionRequest -> Status, true;
    "AlterCollectionField" AlterCollectionFieldRequest -> Status, true;
    "AddCollectionField" AddCollectionFieldRequest -> Status, false;
    "TruncateCollection" TruncateCollectionRequest -> Status, false;
    "AlterIndex" AlterIndexRequest -> Status, true;
    "HybridSearch" HybridSearchRequest -> m::SearchResults, true;
    "CreatePartition" CreatePartitionRequest -> Status, false;
    "DropPartition" DropPartitionRequest -> Status, false;
    "HasPartition" HasPartitionRequest -> m::BoolResponse, true;
    "LoadPartitions" LoadPartitionsRequest -> Status, true;
    "ReleasePartitions" ReleasePartitionsRequest -> Status, true;
    "ShowPartitions" ShowPartitionsRequest -> m::ShowPartitionsResponse, true;
    "GetPartitionStatistics" GetPartitionStatisticsRequest -> m::GetPartitionStatisticsResponse, true;
    "CreateAlias" CreateAliasRequest -> Status, false;
    "DropAlias" DropAliasRequest -> Status, false;
    "AlterAlias" AlterAliasRequest -> Status, true;
    "DescribeAlias" DescribeAliasRequest -> m::DescribeAliasResponse, true;
    "ListAliases" ListAliasesRequest -> m::ListAliasesResponse, true;
    "CreateDatabase" CreateDatabaseRequest -> Status, false;
    "DropDatabase" DropDatabaseRequest -> Status, false;
    "ListDatabases" ListDatabasesRequest -> m::ListDatabasesResponse, true;
    "DescribeDatabase" DescribeDatabaseRequest -> m::DescribeDatabaseResponse, true;
    "AlterDatabase" AlterDatabaseRequest -> Status, true;
    "CreateCredential" CreateCredentialRequest -> Status, false;
    "UpdateCredential" UpdateCredentialRequest -> Status, false;
    "DeleteCredential" DeleteCredentialRequest -> Status, false;
    "ListCredUsers" ListCredUsersRequest -> m::ListCredUsersResponse, true;
    "CreateRole" CreateRoleRequest -> Status, false;
    "DropRole" DropRoleRequest -> Status, false;
    "OperateUserRole" OperateUserRoleRequest -> Status, true;
    "SelectRole" SelectRoleRequest -> m::SelectRoleResponse, true;
    "SelectUser" SelectUserRequest -> m::SelectUserResponse, true;
    "SelectGrant" SelectGrantRequest -> m::SelectGrantResponse, true;
    "OperatePrivilege" OperatePrivilegeRequest -> Status, true;
    "OperatePrivilegeV2" OperatePrivilegeV2Request -> Status, true;
    "CreatePrivilegeGroup" CreatePrivilegeGroupRequest -> Status, false;
    "DropPrivilegeGroup" DropPrivilegeGroupRequest -> Status, false;
    "ListPrivilegeGroups" ListPrivilegeGroupsRequest -> m::ListPrivilegeGroupsResponse, true;
    "OperatePrivilegeGroup" OperatePrivilegeGroupRequest -> Status, true;
}
