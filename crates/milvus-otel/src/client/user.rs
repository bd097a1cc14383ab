//! Users, roles and privileges.

use super::MilvusClient;
use super::error::Result;
use crate::proto::milvus as m;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use m::{OperatePrivilegeGroupType, OperatePrivilegeType, OperateUserRoleType};

/// A user, as Milvus describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserInfo {
    /// Its name.
    pub name: String,
    /// The names of its roles.
    pub roles: Vec<String>,
}

/// A privilege that a role has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The kind of thing that it is about: `Collection`, `Global` or `User`.
    pub object_type: String,
    /// The thing; `*` for all of its kind.
    pub object_name: String,
    /// The privilege, such as `Search`.
    pub privilege: String,
    /// The database that the thing is in; `*` for all.
    pub database: String,
    /// The user who granted it.
    pub grantor: String,
}

/// A group of privileges under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrivilegeGroup {
    /// Its name.
    pub name: String,
    /// The names of its privileges.
    pub privileges: Vec<String>,
}

/// Users, their roles, and what a role may do. The server must have authorization switched on for them to matter.
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) -> milvus_otel::Result<()> {
/// client.create_user("jo", "a password").await?;
/// client.update_password("jo", "a password", "a better password").await?;
/// client.create_role("reader").await?;
/// client.grant_privilege("reader", "Collection", "Search", "films").await?;
/// client.grant_role("jo", "reader").await?;
/// println!("{:?} {:?}", client.list_users().await?, client.list_roles().await?);
/// println!("{:?} {:?}", client.describe_user("jo").await?, client.describe_role("reader").await?);
/// client.revoke_role("jo", "reader").await?;
/// client.revoke_privilege("reader", "Collection", "Search", "films").await?;
/// client.drop_role("reader").await?;
/// client.drop_user("jo").await?;
///
/// // From Milvus 2.4.18 on: privileges of a database or a collection, and groups of them.
/// client.create_privilege_group("editing").await?;
/// client.add_privileges_to_group("editing", &["Insert", "Upsert", "Delete"]).await?;
/// client.grant_privilege_v2("reader", "editing", "films", "default").await?;
/// client.revoke_privilege_v2("reader", "editing", "films", "default").await?;
/// client.remove_privileges_from_group("editing", &["Delete"]).await?;
/// println!("{:?}", client.list_privilege_groups().await?);
/// client.drop_privilege_group("editing").await?;
/// # Ok(())
/// # }
/// ```
impl MilvusClient {
    /// Creates a user.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The name is in use, or the password is too short.
    pub async fn create_user(&self, user: &str, password: &str) -> Result<()> {
        let request = m::CreateCredentialRequest {
            username: user.to_owned(),
            password: BASE64_STANDARD.encode(password),
        };
        self.change("create_user", "", request).await
    }

    /// Changes a user's password. A client that is connected with the old one has to connect again.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The old password is wrong, or the new one is too short.
    pub async fn update_password(&self, user: &str, old: &str, new: &str) -> Result<()> {
        let request = m::UpdateCredentialRequest {
            username: user.to_owned(),
            old_password: BASE64_STANDARD.encode(old),
            new_password: BASE64_STANDARD.encode(new),
        };
        self.change("update_password", "", request).await
    }

    /// Drops a user.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The server couldn't be asked, or refused.
    pub async fn drop_user(&self, user: &str) -> Result<()> {
        let request = m::DeleteCredentialRequest {
            username: user.to_owned(),
        };
        self.change("drop_user", "", request).await
    }

    /// The names of all users.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn list_users(&self) -> Result<Vec<String>> {
        let request = m::ListCredUsersRequest {};
        Ok(self.run("list_users", "", request).await?.usernames)
    }

    /// A user and its roles; `None` if there is no such user.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn describe_user(&self, user: &str) -> Result<Option<UserInfo>> {
        let request = m::SelectUserRequest {
            user: Some(m::UserEntity {
                name: user.to_owned(),
            }),
            include_role_info: true,
        };
        let answer = self.run("describe_user", "", request).await?;
        Ok(answer.results.into_iter().next().map(|found| UserInfo {
            name: found.user.unwrap_or_default().name,
            roles: found.roles.into_iter().map(|role| role.name).collect(),
        }))
    }

    /// Creates a role.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The name is in use.
    pub async fn create_role(&self, role: &str) -> Result<()> {
        let request = m::CreateRoleRequest {
            entity: named(role),
        };
        self.change("create_role", "", request).await
    }

    /// Drops a role, which must have no privileges.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no role of that name, or it has privileges.
    pub async fn drop_role(&self, role: &str) -> Result<()> {
        let request = m::DropRoleRequest {
            role_name: role.to_owned(),
            force_drop: false,
        };
        self.change("drop_role", "", request).await
    }

    /// The names of all roles.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The call failed.
    pub async fn list_roles(&self) -> Result<Vec<String>> {
        let request = m::SelectRoleRequest::default();
        let answer = self.run("list_roles", "", request).await?;
        let roles = answer.results.into_iter().filter_map(|found| found.role);
        Ok(roles.map(|role| role.name).collect())
    }

    /// The privileges of a role.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// It doesn't exist.
    pub async fn describe_role(&self, role: &str) -> Result<Vec<Grant>> {
        let request = m::SelectGrantRequest {
            entity: Some(m::GrantEntity {
                role: named(role),
                db_name: self.database(),
                ..Default::default()
            }),
        };
        let answer = self.run("describe_role", "", request).await?;
        Ok(answer.entities.into_iter().map(grant).collect())
    }

    /// Grants a role to a user.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such user or role.
    pub async fn grant_role(&self, user: &str, role: &str) -> Result<()> {
        let request = user_role(user, role, OperateUserRoleType::AddUserToRole);
        self.change("grant_role", "", request).await
    }

    /// Revokes a role of a user.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such user or role.
    pub async fn revoke_role(&self, user: &str, role: &str) -> Result<()> {
        let request = user_role(user, role, OperateUserRoleType::RemoveUserFromRole);
        self.change("revoke_role", "", request).await
    }

    /// Grants a role a privilege on an object, in this client's database. `object_name` can be `*`.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such role, kind of object or privilege.
    pub async fn grant_privilege(
        &self,
        role: &str,
        object_type: &str,
        privilege: &str,
        object_name: &str,
    ) -> Result<()> {
        let kind = OperatePrivilegeType::Grant;
        let request = self.privilege(role, object_type, privilege, object_name, kind);
        self.change("grant_privilege", "", request).await
    }

    /// Revokes a privilege of a role.
    ///
    /// Milvus 2.2 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// There is no such role, kind of object or privilege.
    pub async fn revoke_privilege(
        &self,
        role: &str,
        object_type: &str,
        privilege: &str,
        object_name: &str,
    ) -> Result<()> {
        let kind = OperatePrivilegeType::Revoke;
        let request = self.privilege(role, object_type, privilege, object_name, kind);
        self.change("revoke_privilege", "", request).await
    }

    fn privilege(
        &self,
        role: &str,
        object_type: &str,
        privilege: &str,
        object_name: &str,
        kind: OperatePrivilegeType,
    ) -> m::OperatePrivilegeRequest {
        let entity = m::GrantEntity {
            role: named(role),
            object: Some(m::ObjectEntity {
                name: object_type.to_owned(),
            }),
            object_name: object_name.to_owned(),
            grantor: Some(grantor(privilege)),
            db_name: self.database(),
        };
        m::OperatePrivilegeRequest {
            entity: Some(entity),
            r#type: kind.into(),
        }
    }

    /// Grants a role a privilege or a group of privileges on a collection of a database; either can be `*`.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such role or privilege.
    pub async fn grant_privilege_v2(
        &self,
        role: &str,
        privilege: &str,
        collection: &str,
        database: &str,
    ) -> Result<()> {
        let kind = OperatePrivilegeType::Grant;
        let request = privilege_v2(role, privilege, collection, database, kind);
        self.change("grant_privilege_v2", collection, request).await
    }

    /// Revokes a privilege or a group of privileges of a role.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such role or privilege.
    pub async fn revoke_privilege_v2(
        &self,
        role: &str,
        privilege: &str,
        collection: &str,
        database: &str,
    ) -> Result<()> {
        let kind = OperatePrivilegeType::Revoke;
        let request = privilege_v2(role, privilege, collection, database, kind);
        self.change("revoke_privilege_v2", collection, request)
            .await
    }

    /// Creates an empty group of privileges.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// The name is in use.
    pub async fn create_privilege_group(&self, group: &str) -> Result<()> {
        let request = m::CreatePrivilegeGroupRequest {
            group_name: group.to_owned(),
        };
        self.change("create_privilege_group", "", request).await
    }

    /// Drops a group of privileges.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// A role has it.
    pub async fn drop_privilege_group(&self, group: &str) -> Result<()> {
        let request = m::DropPrivilegeGroupRequest {
            group_name: group.to_owned(),
        };
        self.change("drop_privilege_group", "", request).await
    }

    /// All groups of privileges.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// The call failed.
    pub async fn list_privilege_groups(&self) -> Result<Vec<PrivilegeGroup>> {
        let request = m::ListPrivilegeGroupsRequest {};
        let answer = self.run("list_privilege_groups", "", request).await?;
        let group = |group: m::PrivilegeGroupInfo| PrivilegeGroup {
            name: group.group_name,
            privileges: group
                .privileges
                .into_iter()
                .map(|privilege| privilege.name)
                .collect(),
        };
        Ok(answer.privilege_groups.into_iter().map(group).collect())
    }

    /// Adds privileges to a group.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such group or privilege.
    pub async fn add_privileges_to_group(&self, group: &str, privileges: &[&str]) -> Result<()> {
        let kind = OperatePrivilegeGroupType::AddPrivilegesToGroup;
        let request = privilege_group(group, privileges, kind);
        self.change("add_privileges_to_group", "", request).await
    }

    /// Removes privileges from a group.
    ///
    /// Milvus 2.4.18 and later; against a stub only.
    ///
    /// # Errors
    /// There is no such group or privilege.
    pub async fn remove_privileges_from_group(
        &self,
        group: &str,
        privileges: &[&str],
    ) -> Result<()> {
        let kind = OperatePrivilegeGroupType::RemovePrivilegesFromGroup;
        let request = privilege_group(group, privileges, kind);
        self.change("remove_privileges_from_group", "", request)
            .await
    }
}

fn named(role: &str) -> Option<m::RoleEntity> {
    Some(m::RoleEntity {
        name: role.to_owned(),
    })
}

fn grantor(privilege: &str) -> m::GrantorEntity {
    m::GrantorEntity {
        user: None,
        privilege: Some(m::PrivilegeEntity {
            name: privilege.to_owned(),
        }),
    }
}

fn grant(entity: m::GrantEntity) -> Grant {
    let grantor = entity.grantor.unwrap_or_default();
    Grant {
        object_type: entity.object.unwrap_or_default().name,
        object_name: entity.object_name,
        privilege: grantor.privilege.unwrap_or_default().name,
        database: entity.db_name,
        grantor: grantor.user.unwrap_or_default().name,
    }
}

fn user_role(user: &str, role: &str, kind: OperateUserRoleType) -> m::OperateUserRoleRequest {
    m::OperateUserRoleRequest {
        username: user.to_owned(),
        role_name: role.to_owned(),
        r#type: kind.into(),
    }
}

fn privilege_v2(
    role: &str,
    privilege: &str,
    collection: &str,
    database: &str,
    kind: OperatePrivilegeType,
) -> m::OperatePrivilegeV2Request {
    m::OperatePrivilegeV2Request {
        role: named(role),
        grantor: Some(grantor(privilege)),
        r#type: kind.into(),
        db_name: database.to_owned(),
        collection_name: collection.to_owned(),
    }
}

fn privilege_group(
    group: &str,
    privileges: &[&str],
    kind: OperatePrivilegeGroupType,
) -> m::OperatePrivilegeGroupRequest {
    let entity = |&name: &&str| m::PrivilegeEntity {
        name: name.to_owned(),
    };
    m::OperatePrivilegeGroupRequest {
        group_name: group.to_owned(),
        privileges: privileges.iter().map(entity).collect(),
        r#type: kind.into(),
    }
}
