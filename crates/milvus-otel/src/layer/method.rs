//! The name of an RPC method, read from a request's path.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{LazyLock, PoisonError, RwLock};

/// How many names are kept for the life of the process; a program calls far fewer methods.
const MAX_KEPT: usize = 1024;

static KEPT: LazyLock<RwLock<HashSet<&'static str>>> = LazyLock::new(RwLock::default);

/// The method that a request calls, as a filter sees it.
///
/// ```
/// use milvus_otel::GrpcTraceLayer;
///
/// let layer = GrpcTraceLayer::new().with_filter(|method| {
///     method.full_name() != "grpc.health.v1.Health/Check" && method.method() != "GetLoadState"
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcMethod {
    full_name: Cow<'static, str>,
}

impl RpcMethod {
    pub(super) fn of_path(path: &str) -> Self {
        Self {
            full_name: keep(path.strip_prefix('/').unwrap_or(path)),
        }
    }

    /// `package.Service/Method`.
    pub fn full_name(&self) -> Cow<'static, str> {
        self.full_name.clone()
    }

    /// `package.Service`, or `None` where the request's path isn't that of an RPC.
    pub fn service(&self) -> Option<Cow<'static, str>> {
        let end = self.full_name.rfind('/')?;
        Some(self.part(0, end))
    }

    /// `Method`.
    pub fn method(&self) -> Cow<'static, str> {
        let start = self.full_name.rfind('/').map_or(0, |slash| slash + 1);
        self.part(start, self.full_name.len())
    }

    fn part(&self, start: usize, end: usize) -> Cow<'static, str> {
        match &self.full_name {
            Cow::Borrowed(name) => Cow::Borrowed(&name[start..end]),
            Cow::Owned(name) => Cow::Owned(name[start..end].to_owned()),
        }
    }
}

/// The same name with a life as long as the process's, so that a span and its attributes borrow it.
fn keep(name: &str) -> Cow<'static, str> {
    if let Some(kept) = KEPT
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(name)
    {
        return Cow::Borrowed(kept);
    }
    let mut names = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    if names.len() >= MAX_KEPT {
        return Cow::Owned(name.to_owned());
    }
    let kept: &'static str = Box::leak(Box::from(name));
    names.insert(kept);
    Cow::Borrowed(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_service_and_a_method() {
        let cases = [
            (
                "/milvus.proto.milvus.MilvusService/Search",
                Some("milvus.proto.milvus.MilvusService"),
                "Search",
            ),
            ("/Service/Method", Some("Service"), "Method"),
            ("/a/b/c", Some("a/b"), "c"),
            ("/lone", None, "lone"),
            ("/", None, ""),
            ("", None, ""),
            ("*", None, "*"),
        ];
        for (path, service, method) in cases {
            let name = RpcMethod::of_path(path);
            assert_eq!(name.service().as_deref(), service, "{path}");
            assert_eq!(name.method(), method, "{path}");
        }
    }

    #[test]
    fn names_beyond_the_bound_are_right_and_not_kept() {
        for i in 0..2 * MAX_KEPT {
            let method = RpcMethod::of_path(&format!("/bound.Service/M{i}"));
            assert_eq!(method.full_name(), format!("bound.Service/M{i}"));
            assert_eq!(method.method(), format!("M{i}"));
        }
        assert!(KEPT.read().unwrap().len() <= MAX_KEPT);
    }
}
