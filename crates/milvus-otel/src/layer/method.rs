//! The name of an RPC method, read from a request's path.

use std::borrow::Cow;
use std::sync::OnceLock;

/// Names that are kept for the life of the process, each in one of the places that its hash allows. A program calls far fewer
/// methods. A place is filled once and then read without a lock.
static KEPT: [OnceLock<Box<str>>; 1 << KEPT_BITS] = [const { OnceLock::new() }; 1 << KEPT_BITS];

const KEPT_BITS: u32 = 10;

/// The number of places for a name.
const TRIES: usize = 8;

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
    /// Where the slash between service and method is.
    slash: Option<usize>,
}

impl RpcMethod {
    pub(super) fn of_path(path: &str) -> Self {
        let full_name = keep(path.strip_prefix('/').unwrap_or(path));
        let slash = full_name.rfind('/');
        Self { full_name, slash }
    }

    /// `package.Service/Method`.
    pub fn full_name(&self) -> Cow<'static, str> {
        self.full_name.clone()
    }

    /// `package.Service`, or `None` where the request's path isn't that of an RPC.
    pub fn service(&self) -> Option<Cow<'static, str>> {
        Some(self.part(0, self.slash?))
    }

    /// `Method`.
    pub fn method(&self) -> Cow<'static, str> {
        let start = self.slash.map_or(0, |slash| slash + 1);
        self.part(start, self.full_name.len())
    }

    fn part(&self, start: usize, end: usize) -> Cow<'static, str> {
        match &self.full_name {
            Cow::Borrowed(name) => Cow::Borrowed(&name[start..end]),
            Cow::Owned(name) => Cow::Owned(name[start..end].to_owned()),
        }
    }
}

/// The same name with the lifetime of the process, so that a span and its attributes can borrow it.
fn keep(name: &str) -> Cow<'static, str> {
    let first = hash(name);
    for place in first..first + TRIES {
        let kept = KEPT[place % KEPT.len()].get_or_init(|| name.into());
        if **kept == *name {
            return Cow::Borrowed(kept);
        }
    }
    Cow::Owned(name.to_owned())
}

/// A place in [`KEPT`].
fn hash(name: &str) -> usize {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let add = |hash: u64, bytes: [u8; 8]| {
        (hash.rotate_left(23) ^ u64::from_le_bytes(bytes)).wrapping_mul(MULTIPLIER)
    };
    let (chunks, rest) = name.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash = add(chunks.iter().copied().fold(0, add), last);
    (hash >> (u64::BITS - KEPT_BITS)) as usize
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
    fn names_are_right_whether_they_are_kept_or_not() {
        let of_a_large_service = (0..100).map(|i| format!("/bound.Service/Method{i}"));
        for path in of_a_large_service {
            let name = RpcMethod::of_path(&path).full_name;
            assert!(matches!(name, Cow::Borrowed(_)), "{name}");
        }
        let mut kept = 0;
        for _ in 0..2 {
            kept = 0;
            for i in 0..4 * KEPT.len() {
                let method = RpcMethod::of_path(&format!("/bound.Service/M{i}"));
                assert_eq!(method.full_name(), format!("bound.Service/M{i}"));
                assert_eq!(method.method(), format!("M{i}"));
                kept += usize::from(matches!(method.full_name, Cow::Borrowed(_)));
            }
        }
        assert!((KEPT.len() / 2..=KEPT.len()).contains(&kept), "{kept}");
    }
}
